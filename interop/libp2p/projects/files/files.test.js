import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { fetchFile } from './client.js'
import { createNode } from './node.js'
import { serveFiles } from './server.js'

const LARGE = randomBytes(24 * 1024 * 1024)

const digest = (bytes) => createHash('sha256').update(bytes).digest('hex')

describe('a file service', () => {
  let folder
  let server
  let client
  let address

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'files-'))
    await writeFile(join(folder, 'small.txt'), 'a few words')
    await writeFile(join(folder, 'empty'), '')
    await writeFile(join(folder, 'large'), LARGE)
    server = await createNode()
    client = await createNode()
    await serveFiles(server, folder)
    address = server.getMultiaddrs()[0]
  })

  afterEach(async () => {
    await Promise.all([client.stop(), server.stop()])
    await rm(folder, { recursive: true })
  })

  async function whole(name, options) {
    const chunks = []
    for await (const chunk of fetchFile(client, address, name, options)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  it('delivers small, empty and large files, and says how large they are', async () => {
    const sizes = []
    const onSize = (size) => sizes.push(size)
    expect(`${await whole('small.txt', { onSize })}`).to.equal('a few words')
    expect(await whole('empty', { onSize })).to.have.length(0)
    expect(digest(await whole('large', { onSize }))).to.equal(digest(LARGE))
    expect(sizes).to.deep.equal([11, 0, LARGE.length])
  })

  it('says that a file is missing', async () => {
    const error = await whole('nothing').catch((err) => err)
    expect(error.message).to.equal('there is no nothing')
  })

  it('delivers the same file ten times at once, over one connection', async () => {
    const all = await Promise.all(Array.from({ length: 10 }, () => whole('small.txt')))
    for (const bytes of all) expect(`${bytes}`).to.equal('a few words')
    expect(client.getConnections()).to.have.length(1)
  })

  it('delivers everything to a slow reader', async () => {
    const hash = createHash('sha256')
    let chunks = 0
    for await (const chunk of fetchFile(client, address, 'large')) {
      hash.update(chunk)
      if (chunks++ % 32 === 0) await sleep(5)
    }
    expect(hash.digest('hex')).to.equal(digest(LARGE))
  })

  it('stops in the middle, and serves the next one', async () => {
    for await (const chunk of fetchFile(client, address, 'large')) {
      expect(chunk.length).to.be.above(0)
      break
    }
    const controller = new AbortController()
    const aborted = (async () => {
      for await (const _ of fetchFile(client, address, 'large', { signal: controller.signal })) {
        controller.abort()
      }
    })()
    expect((await aborted.catch((err) => err)).name).to.equal('AbortError')
    expect(`${await whole('small.txt')}`).to.equal('a few words')
  })

  it('fails if the server goes away in the middle', async () => {
    const interrupted = (async () => {
      for await (const _ of fetchFile(client, address, 'large')) await server.stop()
    })()
    expect(await interrupted.catch((err) => err)).to.be.an('error')
  })

  it('is there again after a restart', async () => {
    expect(await whole('empty')).to.have.length(0)
    const left = new Promise((resolve) => client.addEventListener('peer:disconnect', resolve))
    await server.stop()
    await left
    await server.start()
    address = server.getMultiaddrs()[0]
    expect(`${await whole('small.txt')}`).to.equal('a few words')
  })
})

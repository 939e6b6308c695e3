// Runs js-libp2p in a page of Chromium; see ../contract.md.

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { chromium } from 'playwright-core'

const LAUNCH_TIMEOUT_MS = 60_000

/** Nothing that needs a display, a sandbox (root has none) or a network other than the page's. */
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    browser: { type: 'string' },
    stack: { type: 'string', default: 'ws-noise-yamux' },
    addr: { type: 'string' },
    workload: { type: 'string', default: 'browse' },
    n: { type: 'string', default: '1' },
    bytes: { type: 'string', default: '1024' },
    spki: { type: 'string' }
  }
})

try {
  if (positionals[0] !== 'client') throw new Error('expected the mode client')
  if (values.workload !== 'browse') throw new Error(`unknown workload ${values.workload}`)
  if (!/^wss?-noise-yamux$/.test(values.stack)) throw new Error(`unknown stack ${values.stack}`)
  printLine(await browse())
} catch (error) {
  printLine({ error: `${error.name}: ${error.message}` })
  process.exitCode = 1
}

/** Resolves to the line that the page returns. */
async function browse() {
  const server = await servePage()
  // The folder of its profile is a fresh one, removed when it closes.
  const browser = await chromium.launch({
    executablePath: values.browser,
    timeout: LAUNCH_TIMEOUT_MS,
    args: values.spki
      ? [...ARGUMENTS, `--ignore-certificate-errors-spki-list=${values.spki}`]
      : ARGUMENTS
  })
  try {
    const page = await browser.newPage()
    page.on('console', (message) => console.error(message.text()))
    page.on('pageerror', (error) => console.error(error))
    await page.goto(`http://127.0.0.1:${server.address().port}/`)
    return await page.evaluate((options) => globalThis.browse(options), {
      addr: values.addr,
      n: Number(values.n),
      bytes: Number(values.bytes)
    })
  } finally {
    await browser.close()
    server.close()
  }
}

/** Serves the page on loopback, which makes it a secure context: WebCrypto is there. */
async function servePage() {
  const script = await readFile(new URL('bundle.js', import.meta.url))
  const server = createServer(({ url }, response) => {
    const isScript = url === '/bundle.js'
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html; charset=utf-8')
    response.end(isScript ? script : '<!doctype html><script src="/bundle.js"></script>')
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

function printLine(line) {
  console.log(JSON.stringify(line))
}

// Certificates and keys of private networks for peers on loopback. No dependencies; runs on Node 20 or newer.

import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const DAY_MS = 86_400_000
/** Tags of ASN.1's distinguished encoding. */
const [INTEGER, BIT_STRING, OCTET_STRING, OID, UTF8_STRING, UTC_TIME, SEQUENCE, SET] = [
  0x02, 0x03, 0x04, 0x06, 0x0c, 0x17, 0x30, 0x31
]
/** ecdsa-with-SHA256 */
const ALGORITHM = der(SEQUENCE, der(OID, Buffer.from('2a8648ce3d040302', 'hex')))
const COMMON_NAME = Buffer.from('550403', 'hex')
const SUBJECT_ALT_NAME = Buffer.from('551d11', 'hex')
const DNS_NAME = 0x82
const IP_ADDRESS = 0x87
const LOCALHOST_IP6 = Buffer.from('00000000000000000000000000000001', 'hex')

/**
 * Writes the files of `--cert`, `--key` and `--psk` to a folder of their own. The certificate is its own root: it is the
 * file of `--ca` too.
 *
 * @returns {Promise<{ cert: string, key: string, psk: string, spki: string, remove: () => Promise<void> }>} their paths;
 * `spki` is the hash of the certificate's key, as browsers take it.
 */
export async function writeFiles() {
  const folder = await mkdtemp(join(tmpdir(), 'ferroswarm-interop-'))
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const texts = {
    cert: pem('CERTIFICATE', certificate(spki, privateKey)),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    psk: `/key/swarm/psk/1.0.0/\n/base16/\n${randomBytes(32).toString('hex')}\n`
  }
  const files = { spki: createHash('sha256').update(spki).digest('base64') }
  for (const [name, text] of Object.entries(texts)) {
    files[name] = join(folder, `${name}.pem`)
    await writeFile(files[name], text)
  }
  return { ...files, remove: () => rm(folder, { recursive: true }) }
}

/** Returns a certificate of loopback, signed by its own key. */
function certificate(spki, privateKey) {
  const name = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, der(OID, COMMON_NAME), der(UTF8_STRING, Buffer.from('localhost'))))
  )
  const altNames = der(
    SEQUENCE,
    der(DNS_NAME, Buffer.from('localhost')),
    der(IP_ADDRESS, Buffer.of(127, 0, 0, 1)),
    der(IP_ADDRESS, LOCALHOST_IP6)
  )
  const now = Date.now()
  const signed = der(
    SEQUENCE,
    der(0xa0, der(INTEGER, Buffer.of(2))), // Version 3.
    der(INTEGER, Buffer.of(1, ...randomBytes(8))), // Serial number.
    ALGORITHM,
    name,
    der(SEQUENCE, utcTime(now - DAY_MS), utcTime(now + 30 * DAY_MS)),
    name,
    spki,
    der(0xa3, der(SEQUENCE, der(SEQUENCE, der(OID, SUBJECT_ALT_NAME), der(OCTET_STRING, altNames))))
  )
  const signature = der(BIT_STRING, Buffer.of(0), sign('sha256', signed, privateKey))
  return der(SEQUENCE, signed, ALGORITHM, signature)
}

function utcTime(ms) {
  const digits = new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14)
  return der(UTC_TIME, Buffer.from(`${digits}Z`))
}

function der(tag, ...contents) {
  const content = Buffer.concat(contents)
  const { length } = content
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...size), content])
}

function pem(label, bytes) {
  const lines = bytes.toString('base64').match(/.{1,64}/g)
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

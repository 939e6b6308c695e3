/** Peer ids without nodes behind them. */

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** Returns the text of the peer id of number `index`: an inlined ed25519 key of arbitrary bytes. */
export function peerOf(index: number): string {
  const key = Buffer.alloc(38)
  Buffer.from('002408011220', 'hex').copy(key)
  key.writeUInt32BE(index + 1, 6)
  key.writeUInt32BE(Math.imul(index + 1, 0x9e3779b1) >>> 0, 34)
  let rest = BigInt(`0x${key.toString('hex')}`)
  let text = ''
  while (rest > 0n) {
    text = ALPHABET[Number(rest % 58n)] + text
    rest /= 58n
  }
  // The identity multihash begins with a byte 0.
  return `1${text}`
}

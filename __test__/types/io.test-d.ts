/** Interfaces of `ferroswarm/io`: our classes implement them, and a mock of each compiles. */
import type { Stream } from '../../ts/index.ts'
import type {
  BaseMsgReadWriter,
  ChunkReader,
  Closer,
  EncryptedMsgReadWriter,
  Encrypter,
  FixedLengthMsgReadWriter,
  MsgReader,
  MsgReadWriteCloser,
  MsgReadWriter,
  MsgWriter,
  ReadCloser,
  Reader,
  ReadWriteCloser,
  ReadWriter,
  StreamReader,
  TcpStream,
  VarintMsgReadWriter,
  WriteCloser,
  Writer
} from '../../ts/io/index.ts'

declare const stream: Stream
declare const socket: TcpStream
declare const varint: VarintMsgReadWriter
declare const fixed: FixedLengthMsgReadWriter
declare const encrypted: EncryptedMsgReadWriter

const readWriteClosers: ReadWriteCloser[] = [stream, socket]
const streamReaders: StreamReader[] = [stream]
const chunkReaders: ChunkReader[] = [socket]
const messages: MsgReadWriteCloser[] = [stream.messages(), varint, fixed, encrypted]
const bases: BaseMsgReadWriter[] = [varint, fixed]
const encrypters: Encrypter[] = [encrypted]

// Minimal mocks.
const reader: Reader = { read: async () => new Uint8Array(0) }
const writer: Writer = { write: async () => {} }
const closer: Closer = { close: async () => {} }
const readWriter: ReadWriter = { ...reader, ...writer }
const readCloser: ReadCloser = { ...reader, ...closer }
const writeCloser: WriteCloser = { ...writer, ...closer }
const readWriteCloser: ReadWriteCloser = { ...readWriter, ...closer, remoteAddress: undefined }
const msgReader: MsgReader = { readMsg: async () => new Uint8Array(0) }
const msgWriter: MsgWriter = { writeMsg: async () => {} }
const msgReadWriter: MsgReadWriter = { ...msgReader, ...msgWriter }
const msgReadWriteCloser: MsgReadWriteCloser = { ...msgReadWriter, ...closer }
const encrypter: Encrypter = { encrypt: (bytes) => bytes, decrypt: (bytes) => bytes }

// @ts-expect-error a carrier has a remote address
const addressless: ReadWriteCloser = { ...readWriter, ...closer }
// @ts-expect-error a read resolves to bytes
const textual: Reader = { read: async () => 'text' }
// @ts-expect-error encrypting is synchronous
const slow: Encrypter = { encrypt: async (bytes) => bytes, decrypt: (bytes) => bytes }

export const used: unknown[] = [
  readWriteClosers,
  streamReaders,
  chunkReaders,
  messages,
  bases,
  encrypters,
  readCloser,
  writeCloser,
  readWriteCloser,
  msgReadWriteCloser,
  encrypter,
  addressless,
  textual,
  slow
]

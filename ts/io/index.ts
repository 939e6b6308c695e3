/** ferroswarm/io: readers, writers and framed messages over any byte carrier. Importing it loads nothing native. */

export {
  AbortError,
  ConnectionClosedError,
  DecryptionFailedError,
  EncryptionFailedError,
  IncompleteReadError,
  InvalidParametersError,
  IOError,
  Libp2pError,
  MessageTooLargeError,
  MissingLengthError,
  MissingMessageError,
  MsgioError,
  SelfDialError,
  StreamClosedError,
  StreamEOFError,
  TimeoutError,
  UnexpectedPeerError,
  UnsupportedProtocolError
} from '../errors.ts'
export { EncryptedMsgReadWriter } from '../secure/encrypted-msg-read-writer.ts'
export {
  type SecureMessages,
  type SecureMessagesOptions,
  secureMessages
} from '../secure/secure-messages.ts'
export { BaseMsgReadWriter, type MsgReadWriterOptions } from './base-msg-read-writer.ts'
export { type AnyDuplex, type CarrierOptions, fromDuplex, fromWebStreams } from './carriers.ts'
export {
  encodeMessage,
  FixedLengthMsgReadWriter,
  type FixedLengthOptions,
  type LengthBytes,
  readLength
} from './fixed-length.ts'
export { type Framing, MESSAGE_BYTES_MAX } from './framing.ts'
export type {
  AbortOptions,
  ChunkReader,
  Closer,
  ConnState,
  Encrypter,
  HostPort,
  MsgReader,
  MsgReadWriteCloser,
  MsgReadWriter,
  MsgWriter,
  ReadCloser,
  Reader,
  ReadWriteCloser,
  ReadWriter,
  StreamReader,
  WriteCloser,
  Writer
} from './interfaces.ts'
export { type ReadAllOptions, type ReadSomeOptions, readAll, readSome } from './read-any.ts'
export { type ReadExactlyOptions, readExactly } from './read-exactly.ts'
export { TcpStream, tcpStream } from './tcp-stream.ts'
export { VarintMsgReadWriter } from './varint-length.ts'

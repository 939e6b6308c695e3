/** ferroswarm/io: readers, writers and framed messages over anything that carries bytes. */
export type {
  AbortOptions,
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
  WriteCloser,
  Writer
} from './interfaces.ts'

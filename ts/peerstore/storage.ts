/** The backend of the option `peerstore`; loaded if there is one. */
import type { Logger } from '../diagnostics/logger.ts'
import { DatastoreBackend } from './datastore-backend.ts'
import type { DatastoreLike } from './interfaces.ts'
import { Journal } from './journal.ts'
import { NativeBackend } from './native-backend.ts'
import type { PeerTable } from './peer-table.ts'

/** Returns the journal of a table in a file, or in a datastore. */
export function journalOf(
  place: string | DatastoreLike,
  table: PeerTable,
  self: string,
  logger: Logger
): Journal {
  const backend =
    typeof place === 'string'
      ? new NativeBackend(place, (line) => logger.warn(line))
      : new DatastoreBackend(place)
  return new Journal(backend, table, self, logger)
}

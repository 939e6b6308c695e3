/** The stream suites with the `yamux` crate at both ends. */
import { useEngines } from '../support/pair.ts'

useEngines('yamux-crate', 'yamux-crate')
await import('./stream-bytes.spec.ts')
await import('./stream-endings.spec.ts')
await import('./stream-states.spec.ts')

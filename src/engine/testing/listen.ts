/** A stream whose text is written down as it comes, and how it ended: `closed`, or a fault's code. */

import { fromUtf8 } from '../codec/bytes.ts'
import type { Stream } from '../net/stream.ts'

export const listen = (stream: Stream): { readonly text: string; readonly over: string | undefined } => {
  const heard = { text: '', over: undefined as string | undefined }
  stream.attach({
    onData(bytes) {
      heard.text += fromUtf8(bytes)
      stream.release(bytes.length)
    },
    onEnd: () => {},
    onClose: (fault) => {
      heard.over = fault?.code ?? 'closed'
    },
  })
  return heard
}

/** TXT records by the system's resolver. */

import { resolveTxt } from 'node:dns'
import type { LookUpTxt } from '../engine/net/dnsaddr.ts'
import { TabmeshError } from '../errors.ts'

export const systemTxt =
  (resolve: typeof resolveTxt = resolveTxt): LookUpTxt =>
  (name, done) => {
    let wanted = true
    resolve(name, (error, records) => {
      if (!wanted) return
      // No such name, or no such records of it: an answer.
      if (error !== null && !/^(ENOTFOUND|ENODATA)$/.test(error.code ?? ''))
        done({ ok: false, fault: new TabmeshError('ERR_DNS', `${name} can't be looked up (${error.code})`, { cause: error }) })
      else done({ ok: true, value: error === null ? records.map((strings) => strings.join('')) : [] })
    })
    return () => {
      wanted = false
    }
  }

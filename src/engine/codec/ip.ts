/**
 * IP addresses between text and bytes: IPv4 as four decimals, IPv6 as RFC 4291 §2.2 reads and RFC 5952 writes.
 * A zone (`%eth0`) is no part of an address here: multiaddrs carry it as /ip6zone.
 */

/** Undefined where `text` is not four decimals from 0 to 255 without leading zeros. */
export const parseIp4 = (text: string): Uint8Array | undefined => {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return undefined
  const bytes = new Uint8Array(4)
  for (let i = 0; i < 4; i++) {
    const decimal = match[i + 1] as string
    // A leading zero means octal to some and decimal to others.
    if (Number(decimal) > 255 || (decimal.length > 1 && decimal.startsWith('0'))) return undefined
    bytes[i] = Number(decimal)
  }
  return bytes
}

export const formatIp4 = (bytes: Uint8Array): string => bytes.join('.')

export const parseIp6 = (text: string): Uint8Array | undefined => {
  const halves = text.split('::')
  const [first = '', second] = halves
  const head = parseGroups(first, second === undefined)
  const tail = parseGroups(second ?? '', true)
  if (head === undefined || tail === undefined || halves.length > 2) return undefined
  const gap = 8 - head.length - tail.length
  // `::` stands for at least one group.
  if (second === undefined ? gap !== 0 : gap < 1) return undefined
  const bytes = new Uint8Array(16)
  const groups = [...head, ...new Array<number>(gap).fill(0), ...tail]
  groups.forEach((group, i) => {
    bytes[2 * i] = group >> 8
    bytes[2 * i + 1] = group & 0xff
  })
  return bytes
}

/** Groups between colons; the last two of an address may be written as an IPv4 address. */
const parseGroups = (text: string, last: boolean): number[] | undefined => {
  if (text === '') return []
  const groups: number[] = []
  const pieces = text.split(':')
  for (const [i, piece] of pieces.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(piece)) {
      groups.push(Number.parseInt(piece, 16))
      continue
    }
    const ip4 = last && i === pieces.length - 1 ? parseIp4(piece) : undefined
    if (ip4 === undefined) return undefined
    const [a = 0, b = 0, c = 0, d = 0] = ip4
    groups.push((a << 8) | b, (c << 8) | d)
  }
  return groups
}

export const formatIp6 = (bytes: Uint8Array): string => {
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0))
  // RFC 5952 §5: an address in an IPv4-mapped prefix ends in dotted decimals.
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) return `::ffff:${formatIp4(bytes.subarray(12))}`
  // RFC 5952 §4.2: `::` shortens the longest run of zeros, the first of equals, and never a single group.
  let from = 0
  let run = 1
  for (let i = 0; i < 8; i++) {
    let next = i
    while (groups[next] === 0) next++
    if (next - i > run) {
      from = i
      run = next - i
    }
    i = Math.max(i, next - 1)
  }
  const hex = groups.map((group) => group.toString(16))
  return run === 1 ? hex.join(':') : `${hex.slice(0, from).join(':')}::${hex.slice(from + run).join(':')}`
}

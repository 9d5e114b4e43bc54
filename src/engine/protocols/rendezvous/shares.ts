/**
 * Shares: who has how much, by party and by member of it, and who would have to give way to whom.
 *
 *   full ─▶ the party with the most, if that is two more than the newcomer's has ─▶ its member with the most gives one up
 *     └─▶ else in the newcomer's own party: the member with the most, if that is two more than the newcomer has
 *          └─▶ else nobody: the newcomer is refused
 *
 * So nobody with a fair share loses it to those who come with many names. Each step takes constant time.
 *
 * Bounds: parties and members that have something.
 */

/** Counts by key, and a key with the highest one. */
class Tally {
  readonly #counts = new Map<string, number>()
  readonly #byCount = new Map<number, Set<string>>()
  #most = 0

  get(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  /** The one that has had as much as the most for longest. */
  get heaviest(): string | undefined {
    return this.#byCount.get(this.#most)?.values().next().value
  }

  get size(): number {
    return this.#counts.size
  }

  add(key: string, by: 1 | -1): void {
    const before = this.get(key)
    const count = before + by
    const peers = this.#byCount.get(before)
    peers?.delete(key)
    if (peers?.size === 0) this.#byCount.delete(before)
    if (count > 0) {
      this.#counts.set(key, count)
      const equals = this.#byCount.get(count)
      if (equals === undefined) this.#byCount.set(count, new Set([key]))
      else equals.add(key)
    } else this.#counts.delete(key)
    if (count > this.#most) this.#most = count
    // Who had the most has one less now, and so is among those who have the most.
    else if (before === this.#most && !this.#byCount.has(before)) this.#most = count
  }
}

export class Shares {
  readonly #parties = new Tally()
  readonly #members = new Map<string, Tally>()

  add(party: string, member: string, by: 1 | -1): void {
    this.#parties.add(party, by)
    let members = this.#members.get(party)
    if (members === undefined) {
      members = new Tally()
      this.#members.set(party, members)
    }
    members.add(member, by)
    if (members.size === 0) this.#members.delete(party)
  }

  /** The member that gives one up to `member` of `party`; undefined where that has its share. */
  victim(party: string, member: string): string | undefined {
    const heaviest = this.#parties.heaviest
    if (heaviest !== undefined && heaviest !== party && this.#parties.get(heaviest) > this.#parties.get(party) + 1) {
      return this.#members.get(heaviest)?.heaviest
    }
    const own = this.#members.get(party)
    const neighbour = own?.heaviest
    return own !== undefined && neighbour !== undefined && own.get(neighbour) > own.get(member) + 1 ? neighbour : undefined
  }
}

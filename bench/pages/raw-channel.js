// A bare data channel, on whichever thread holds it: messages of 16 KiB, and `bufferedamountlow` as the only brake.

const MESSAGE = 16 * 1024
const HIGH = 1024 * 1024

/** @param {RTCDataChannel} channel */
const opened = (channel) =>
  channel.readyState === 'open' ? undefined : new Promise((resolve) => channel.addEventListener('open', resolve, { once: true }))

/** The far end: an echo, or one byte once as many bytes have come as the label says. */
export const serve = (channel, label) => {
  channel.binaryType = 'arraybuffer'
  let left = label === 'echo' ? Number.POSITIVE_INFINITY : Number(label)
  // In Chromium the first messages may come before the channel says that it is open.
  const early = []
  const answer = (data) => {
    if (channel.readyState === 'open') channel.send(data)
    else early.push(data)
  }
  channel.onopen = () => {
    for (const data of early.splice(0)) channel.send(data)
  }
  channel.onmessage = ({ data }) => {
    left -= data.byteLength
    if (label === 'echo') answer(data)
    else if (left <= 0) answer(new Uint8Array(1))
  }
}

const pump = async (channel, bytes) => {
  const block = new Uint8Array(MESSAGE)
  channel.bufferedAmountLowThreshold = HIGH / 2
  for (let left = bytes; left > 0; left -= MESSAGE) {
    if (channel.bufferedAmount >= HIGH) {
      await new Promise((resolve) => channel.addEventListener('bufferedamountlow', resolve, { once: true }))
    }
    channel.send(left < MESSAGE ? block.subarray(0, left) : block)
  }
}

/** Resolves when `bytes` bytes have come. */
const received = (channel, bytes) =>
  new Promise((resolve) => {
    let left = bytes
    channel.onmessage = ({ data }) => {
      left -= data.byteLength
      if (left <= 0) resolve()
    }
  })

/** Sends `bytes`, and waits for `back` bytes: all of them from an echo, one from a sink. */
export const exchange = async (channel, bytes, back) => {
  channel.binaryType = 'arraybuffer'
  await opened(channel)
  const began = performance.now()
  const answer = received(channel, back)
  await pump(channel, bytes)
  await answer
  return performance.now() - began
}

/** The median of `count` round trips of 32 bytes. */
export const roundTrips = async (channel, count) => {
  channel.binaryType = 'arraybuffer'
  await opened(channel)
  const times = []
  for (let i = 0; i < count; i++) {
    const began = performance.now()
    const answer = received(channel, 32)
    channel.send(new Uint8Array(32))
    await answer
    times.push(performance.now() - began)
  }
  return times
}

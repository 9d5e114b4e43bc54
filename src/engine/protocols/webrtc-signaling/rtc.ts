/** What signalling asks of an RTCPeerConnection: the same as WebRTC-direct, so it is defined on the floor below both. */

export type { Rtc, RtcPeer, RtcSignals } from '../../wire/webrtc/peer.ts'

// js-libp2p with gossipsub: bench/js-pubsub-page.js, bundled.
// biome-ignore lint/performance/noBarrelFile: the browser fetches the one from here and the other from where it was built
export * from '/js-pubsub/page.js'

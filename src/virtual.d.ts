/** The worker's script as text: built first by scripts/build.mjs, inlined into the bundles, made a Blob URL by the SDK. */
declare module 'virtual:tabmesh-engine' {
  export const engineSource: string
}

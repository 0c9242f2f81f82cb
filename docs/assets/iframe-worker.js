// Browsers start no worker from a file, and the search of the site is one. In a site that is opened
// as files, its script runs in an empty frame instead. Served pages keep the browser's worker.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(address) {
      super()
      this.waiting = []
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const inner = frame.contentWindow
      // What the script posts is for the page; the frame would post it to itself.
      inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = inner.document.createElement("script")
      script.src = new URL(address, document.baseURI)
      script.onload = () => {
        this.deliver = data => inner.dispatchEvent(new MessageEvent("message", { data }))
        this.waiting.forEach(this.deliver)
      }
      inner.document.body.append(script)
    }

    postMessage(data) {
      if (this.deliver) this.deliver(data)
      else this.waiting.push(data)
    }
  }
  window.Worker = window.IFrameWorker
}

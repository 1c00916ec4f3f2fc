/** A script of the page: adds the accessible names that Scalar omits, and scrolling by keyboard. */

/** The missing attributes, by selector. Null removes one that is wrong. */
const missing = {
  "button.group\\/copy-button:not([aria-label])": { "aria-label": "Copy" },
  "button[role=none]": { role: null },
  ".cm-content[contenteditable=true]:not([aria-label])": { "aria-label": "Request body" },
  ".cm-content[contenteditable=false]:not([aria-label])": { "aria-label": "Response body" },
  ".cm-scroller[tabindex='-1']": { tabindex: "0" },
  "ul.endpoints:not([tabindex])": { tabindex: "0" },
}

/** Runs once a frame at most, because Scalar renders many elements at a time. */
export const accessibility = `(() => {
  const missing = ${JSON.stringify(missing)}
  let isDue = false
  const mend = () => {
    isDue = false
    for (const [selector, attributes] of Object.entries(missing))
      for (const element of document.querySelectorAll(selector))
        for (const [name, value] of Object.entries(attributes))
          if (value === null) element.removeAttribute(name)
          else element.setAttribute(name, value)
  }
  new MutationObserver(() => {
    if (!isDue) requestAnimationFrame(mend)
    isDue = true
  }).observe(document, { childList: true, subtree: true })
})();
`

/** The page at /docs: it holds nothing inline, so that its Content-Security-Policy can be strict. */

/** Of Scalar: https://scalar.com/products/api-references/configuration */
const configuration = {
  url: "/openapi.json",
  layout: "modern",
  theme: "default",
  // Whatever would ask another host: fonts, a proxy, statistics, and the vendor's own services.
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  defaultOpenFirstTag: true,
  defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
  authentication: { preferredSecurityScheme: "bearerAuth" },
  documentDownloadType: "direct",
}

const attribute = (value: string) => value.replaceAll("&", "&amp;").replaceAll('"', "&quot;")

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%230f766e'/%3E%3Cpath d='m4 8.5 3 3 5.5-7' fill='none' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E"

export const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Todo API</title>
    <link rel="icon" href="${icon}">
  </head>
  <body>
    <noscript>The API reference needs JavaScript; the document is at /openapi.json.</noscript>
    <script id="api-reference" data-configuration="${attribute(JSON.stringify(configuration))}"></script>
    <script src="/docs/scalar.js"></script>
  </body>
</html>
`

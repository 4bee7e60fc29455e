// Package console serves the pages below /console/: connectors, records before and after each transform, editing and
// review of a configuration, dead letters, plugins, services and the log.
//
// Files:
//
//   - console.go: requests, pages and their headers. pages/ has the templates, assets/ the style and the script.
//   - client.go: how a page calls REST. fragment.go: the parts of pages that the script polls.
//   - overview.go, connector.go, records.go, deadletters.go, plugins.go: what the pages show; truncate.go: the limit of
//     rows on a page.
//   - form.go: a configuration as fields and as text, in step; fields.go: the fields.
//   - actions.go: what buttons do. templatefuncs.go: numbers, times and commands as text; chart.go: figures as SVG.
//
// Invariants: the console caches only responses of the last second. It reads and changes through REST's routes only,
// with the logon of the request for the page, so it has no rights of its own. No password is sent to a browser: a new
// one stays in the page that it was typed in. Every page can be read, and every form sent, without the script.
package console

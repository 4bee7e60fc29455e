// Package console makes the pages below /console/: what connectors do, a record before and after each step, a
// configuration that is set up and reviewed, dead letters, plugins, services and the log.
//
// Where to look:
//
//   - console.go: requests, pages and their headers. pages/ has the templates, assets/ the style and the script.
//   - ask.go: how a page asks REST. fragment.go: the parts of pages that are asked for again and again.
//   - overview.go, connector.go, records.go, letters.go, others.go: what the pages show; bounds.go: how much of rows.
//   - form.go: a configuration as fields and as text, in step; fields.go: the fields.
//   - actions.go: what buttons do. words.go: numbers, times and commands as text; chart.go: figures as SVG.
//
// Invariants: the console keeps nothing but answers of the last second. It asks and changes by REST's routes alone,
// with the logon of whoever asks for the page, so that it has no right of its own; a route that it names is in REST's
// table. No password is sent to a browser: a new one stays in the page that it was typed in. Every page can be read,
// and every form be sent, without the script.
package console

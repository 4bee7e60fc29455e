// Package console serves the pages below /console/: connectors, records before and after each transform, editing and
// review of a configuration, dead letters, workers, services, plugins and the log. DESIGN.md has the tokens and
// components that pages consist of.
//
// Files:
//
//   - console.go: requests, pages and their headers. pages/ has the templates, assets/ the style and the script;
//     assets/vendor has third-party files.
//   - client.go: how a page calls REST. fragment.go: the parts of pages that the script polls.
//   - overview.go, connector.go, records.go, deadletters.go, plugins.go, log.go: what the pages show; head.go: the
//     head of all pages of a connector. sample.go compares the records of samples, package tree shows and edits the
//     fields of records. chart.go draws charts of a history as SVG; unknown values leave gaps.
//   - form.go: a configuration as fields and as text. formfields.go: its fields in steps: service, sets, and Kafka.
//   - actions.go: what buttons do. templatefuncs.go: numbers, times and commands as text.
//
// Invariants: the console caches responses for 2.5 seconds at most. It reads and changes through REST's routes only,
// with the logon of the request for the page, so it has no rights of its own. No password is sent to a browser: a new
// one stays in the page that it was typed in. Every page can be read, and every form sent, without the script. Script,
// style, icons and type come from the worker.
package console

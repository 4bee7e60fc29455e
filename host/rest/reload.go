package rest

import (
	"net/http"

	"github.com/culvert-project/culvert/host/config"
)

// Reloading is a [Worker] that follows a folder of files, which GET /culvert/reload tells of. Kafka Connect has no such
// resource.
type Reloading interface {
	// Reload is not there where the worker follows no folder.
	Reload() (r Reload, ok bool)
}

// Reload is what became of changes to the files of connectors.
type Reload struct {
	Folder string `json:"folder"`
	// Last is when a reload changed something, or was refused.
	Last string `json:"last,omitempty"`
	// Reloads are counted by what they came to: applied, refused, unchanged.
	Reloads map[string]int64 `json:"reloads"`
	// Problems are those of no connector: a folder that is not there, a worker's file that has changed.
	Problems   []string   `json:"problems"`
	Connectors []Reloaded `json:"connectors"`
}

// Reloaded is a connector and its file.
type Reloaded struct {
	Name string `json:"name"`
	File string `json:"file"`
	// Error says why its configuration is not taken, with file and line.
	Error string `json:"error,omitempty"`
}

func (x *exchange) reload() {
	if w, ok := x.worker.(Reloading); ok {
		if r, ok := w.Reload(); ok {
			x.answer(http.StatusOK, r)
			return
		}
	}
	x.fail(http.StatusNotFound, noFolder)
}

// Change is what a reload would do to a connector.
type Change struct {
	Connector string        `json:"connector"`
	Effect    config.Effect `json:"effect"`
	// File is where its configuration stands; "" where it would be removed.
	File string `json:"file,omitempty"`
	// Settings are those that differ, by their names.
	Settings []string `json:"settings,omitempty"`
	// Problems are what stands in the way of a change that would be refused. GoesOn: what runs would go on then.
	Problems []string `json:"problems,omitempty"`
	GoesOn   bool     `json:"goes_on,omitempty"`
}

func (x *exchange) diff(w Beyond) {
	if r, ok := x.worker.(Reloading); ok {
		if _, ok := r.Reload(); ok {
			ctx, cancel := x.limited()
			defer cancel()
			changes, err := w.Changes(ctx)
			if err != nil {
				x.failed(err, "")
				return
			}
			x.answer(http.StatusOK, append([]Change{}, changes...))
			return
		}
	}
	x.fail(http.StatusNotFound, noFolder)
}

const noFolder = "The worker follows no folder of connectors: it runs named files"

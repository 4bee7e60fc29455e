package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/host/cluster/configtopic"
	"github.com/culvert-project/culvert/host/logging"
	"github.com/culvert-project/culvert/host/shown"
)

func (x *exchange) loggers() { x.answer(http.StatusOK, x.worker.Now().Levels.All()) }

func (x *exchange) logger() {
	level, ok := x.worker.Now().Levels.Get(x.name())
	if !ok {
		x.fail(http.StatusNotFound, "Logger "+x.name()+" not found.")
		return
	}
	x.answer(http.StatusOK, level)
}

// setLogger sets a level, with scope cluster on all workers: of a worker that is alone only the answer tells the scopes
// apart. What is no scope counts as worker, as in Kafka Connect.
func (x *exchange) setLogger() {
	var members map[string]json.RawMessage
	if !x.body(&members) {
		return
	}
	var given *plainText
	raw, named := members["level"]
	if !named {
		raw = json.RawMessage("null")
	}
	switch err := json.Unmarshal(raw, &given); {
	case members == nil:
		x.fail(http.StatusInternalServerError, "expected a level as a JSON object, found null")
		return
	case err != nil:
		x.fail(http.StatusInternalServerError, "level: "+err.Error())
		return
	case given == nil:
		x.fail(http.StatusBadRequest, "Desired 'level' parameter was not specified in request.")
		return
	case *given == "":
		x.fail(http.StatusInternalServerError, "Illegal null or empty Level name.")
		return
	}
	level := string(*given)
	parts := x.worker.Now()
	changed, lines, err := parts.Levels.Set(x.name(), level)
	var wrong logging.ErrLevel
	switch {
	case errors.As(err, &wrong):
		x.fail(http.StatusNotFound, err.Error())
		return
	case err != nil:
		x.fail(http.StatusBadRequest, err.Error())
		return
	}
	if n, ok := x.w.(*noted); ok {
		n.about = append(n.about, "set_to", shown.Line(level))
	}
	if !lines {
		parts.Log.Warn(logging.NoLines, "logger", x.name(), "level", level, "loggers", logging.Loggers())
	}
	if strings.EqualFold(x.first("scope"), "cluster") {
		if x.cluster != nil {
			err = x.cluster.Tell(x.r.Context(), configtopic.LoggerRecord(x.name(), level))
		}
		x.done(http.StatusNoContent, err)
		return
	}
	x.answer(http.StatusOK, changed)
}

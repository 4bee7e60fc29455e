package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/host/logging"
	"github.com/culvert-project/culvert/host/shown"
)

// Logging is a [Worker] with loggers whose levels can be set: those of /admin/loggers.
type Logging interface{ Loggers() *logging.Levels }

func (x *exchange) levels() *logging.Levels {
	if w, ok := x.worker.(Logging); ok {
		return w.Loggers()
	}
	return nil
}

// withLevels answers where the worker has no loggers.
func withLevels(serve func(*exchange, *logging.Levels)) func(*exchange) {
	return func(x *exchange) {
		if l := x.levels(); l != nil {
			serve(x, l)
			return
		}
		x.framework(http.StatusNotFound)
	}
}

func (x *exchange) loggers(l *logging.Levels) { x.answer(http.StatusOK, l.All()) }

func (x *exchange) logger(l *logging.Levels) {
	level, ok := l.Get(x.name())
	if !ok {
		x.fail(http.StatusNotFound, "Logger "+x.name()+" not found.")
		return
	}
	x.answer(http.StatusOK, level)
}

// setLogger sets a level. This worker is the whole cluster: only the answer tells the scopes apart, and what is no
// scope counts as worker, as in Kafka Connect.
func (x *exchange) setLogger(l *logging.Levels) {
	var members map[string]json.RawMessage
	if !x.body(&members) {
		return
	}
	if members == nil {
		x.fail(http.StatusInternalServerError, "expected a level as a JSON object, found null")
		return
	}
	var level string
	raw, given := members["level"]
	if given {
		var err error
		if level, err = text(raw); err != nil {
			x.fail(http.StatusInternalServerError, "level: "+err.Error())
			return
		}
	}
	switch {
	case !given || string(raw) == "null":
		x.fail(http.StatusBadRequest, "Desired 'level' parameter was not specified in request.")
		return
	case level == "":
		x.fail(http.StatusInternalServerError, "Illegal null or empty Level name.")
		return
	}
	changed, lines, err := l.Set(x.name(), level)
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
	if w, ok := x.worker.(interface{ NoLines(logger, level string) }); ok && !lines {
		w.NoLines(x.name(), level)
	}
	if strings.EqualFold(x.first("scope"), "cluster") {
		x.done(http.StatusNoContent)
		return
	}
	x.answer(http.StatusOK, changed)
}

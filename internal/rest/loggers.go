package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/secret"
	"github.com/culvert-project/culvert/internal/shown"
)

func (req *request) loggers() { req.answer(http.StatusOK, req.worker.Now().Levels.All()) }

func (req *request) logger() {
	level, ok := req.worker.Now().Levels.Get(req.name())
	if !ok {
		req.fail(http.StatusNotFound, "Logger "+req.name()+" not found.")
		return
	}
	req.answer(http.StatusOK, level)
}

// setLogger sets a level, with scope=cluster on all workers. Any other scope means worker, as in Kafka Connect.
func (req *request) setLogger() {
	var members map[string]json.RawMessage
	if !req.readJSON(&members) {
		return
	}
	var text *plainText
	raw, ok := members["level"]
	if !ok {
		raw = json.RawMessage("null")
	}
	switch err := secret.UnmarshalJSON(raw, &text); {
	case members == nil:
		req.fail(http.StatusInternalServerError, "expected a level as a JSON object, found null")
		return
	case err != nil:
		req.fail(http.StatusInternalServerError, "level: "+err.Error())
		return
	case text == nil:
		req.fail(http.StatusBadRequest, "Desired 'level' parameter was not specified in request.")
		return
	case *text == "":
		req.fail(http.StatusInternalServerError, "Illegal null or empty Level name.")
		return
	}
	level := string(*text)
	parts := req.worker.Now()
	changedLoggers, hasLines, err := parts.Levels.Set(req.name(), level)
	var levelErr logging.ErrLevel
	switch {
	case errors.As(err, &levelErr):
		req.fail(http.StatusNotFound, err.Error())
		return
	case err != nil:
		req.fail(http.StatusBadRequest, err.Error())
		return
	}
	req.logWith("set_to", shown.Line(level))
	if !hasLines {
		parts.Log.Warn(logging.UnusedLogger, "logger", req.name(), "level", level, "loggers", logging.Loggers())
	}
	if strings.EqualFold(req.queryValue("scope"), "cluster") {
		err = req.cluster.Publish(req.r.Context(), configtopic.LoggerRecord(req.name(), level))
		req.finish(http.StatusNoContent, err)
		return
	}
	req.answer(http.StatusOK, changedLoggers)
}

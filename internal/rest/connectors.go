package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/connect"
)

// metrics answers a Prometheus scrape. Kafka Connect has JMX instead.
func (req *request) metrics() {
	rendered := &localAnswer{header: req.w.Header(), status: http.StatusOK}
	promhttp.HandlerFor(req.worker.Metrics(), promhttp.HandlerOpts{}).ServeHTTP(rendered, req.r)
	req.sendAs(rendered.header.Get("Content-Type"), rendered.status, rendered.body.Bytes())
}

func (req *request) root() { req.answer(http.StatusOK, req.worker.Now().Root) }

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (req *request) health() {
	ctx, cancel := context.WithTimeout(req.r.Context(), healthTimeout)
	defer cancel()
	err := req.worker.Ready(ctx)
	switch {
	case err == nil:
		req.answer(http.StatusOK, health{Status: "healthy",
			Message: "Worker has completed startup and is ready to handle requests."})
	case ctx.Err() != nil:
		req.answer(http.StatusInternalServerError, health{Status: "unhealthy",
			Message: "Worker was unable to handle this request and may be unable to handle other requests. " +
				err.Error()})
	default:
		req.answer(http.StatusServiceUnavailable, health{Status: "starting",
			Message: "Worker is still starting up. " + err.Error()})
	}
}

func (req *request) connectors() {
	herder := req.herder()
	names := herder.Names()
	expand := req.queryValues("expand")
	if expand == nil {
		req.answer(http.StatusOK, append([]string{}, names...))
		return
	}
	expansions := map[string]json.RawMessage{}
	size := 0
	slices.Sort(expand)
	expand = slices.Compact(expand) // repeated values count once
	var others *groupMetrics
	if slices.Contains(expand, "motion") {
		var err error
		if others, err = req.groupMetrics(); err != nil {
			req.failErr(err)
			return
		}
	}
	for _, name := range names {
		expanded := map[string]any{}
		var unknown, err error
		for _, part := range expand {
			switch part {
			case "info":
				expanded[part], err = req.info(name)
			case "status":
				expanded[part], err = herder.Status(name)
			case "motion":
				var metrics connect.Metrics
				metrics, err = others.connectorMetrics(herder, name)
				expanded[part] = withhold(metrics, req.withheldMessage()) // Kafka Connect has no such texts
			}
			unknown = errors.Join(unknown, err)
		}
		if unknown != nil { // it was deleted in the meantime
			continue
		}
		if expansions[name], err = encodeJSON(withhold(expanded, req.withheldInBody())); err == nil {
			size += len(expansions[name])
			err = checkAnswer(size)
		}
		if err != nil {
			req.failErr(err)
			return
		}
	}
	req.answer(http.StatusOK, expansions)
}

func (req *request) info(name string) (connect.Info, error) {
	info, err := req.herder().Info(name)
	info.Config = req.visibleConfig(info.Config)
	return info, err
}

func (req *request) connector() { req.reply(req.info(req.name())) }

// config answers with the configuration and the ETag of its version. Source must be called first: a version stored in
// between then has another ETag.
func (req *request) config() {
	withText := req.wantsText()
	source, version, err := req.worker.Source(req.name(), withText)
	var info connect.Info
	if err == nil {
		info, err = req.herder().Info(req.name())
	}
	if err != nil {
		req.failErr(err)
		return
	}
	req.setETag(version)
	if withText {
		if source == nil {
			source = []byte(config.PropertiesText(info.Config))
		}
		req.sendAs(propertiesType+";charset=utf-8", http.StatusOK,
			[]byte(config.MaskedText(string(source), req.worker.Passwords())))
		return
	}
	req.answer(http.StatusOK, req.visibleConfig(info.Config))
}

func (req *request) status() {
	status, err := req.herder().Status(req.name())
	if err != nil {
		req.fail(http.StatusNotFound, "No status found for connector "+req.name())
		return
	}
	req.answer(http.StatusOK, status)
}

func (req *request) tasks() {
	tasks, err := req.herder().Tasks(req.name())
	for i := range tasks {
		tasks[i].Config = req.visibleConfig(tasks[i].Config)
	}
	req.reply(append([]connect.TaskInfo{}, tasks...), err)
}

func (req *request) taskStatus() {
	n, ok := req.task()
	if !ok {
		return
	}
	status, _ := req.herder().Status(req.name())
	for _, task := range status.Tasks {
		if task.ID == n {
			req.answer(http.StatusOK, task)
			return
		}
	}
	req.fail(http.StatusNotFound, fmt.Sprintf("No status found for task %s-%d", req.name(), n))
}

// plugins lists classes. connectorsOnly is true if it is absent or empty; other values than true are false, as in Java.
func (req *request) plugins() {
	connectorsOnly := true
	if param := req.queryValue("connectorsOnly"); param != "" {
		connectorsOnly = strings.EqualFold(param, "true")
	}
	req.answer(http.StatusOK, append([]connect.Plugin{}, req.herder().Plugins(connectorsOnly)...))
}

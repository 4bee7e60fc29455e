package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
)

// metrics answers a scrape. Kafka Connect has no such resource: its figures go out by JMX.
func (x *exchange) metrics() {
	promhttp.HandlerFor(x.worker.Metrics(), promhttp.HandlerOpts{}).ServeHTTP(x.w, x.r)
}

func (x *exchange) root() { x.answer(http.StatusOK, x.worker.Now().Root) }

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (x *exchange) health() {
	ctx, cancel := context.WithTimeout(x.r.Context(), healthTimeout)
	defer cancel()
	err := x.worker.Ready(ctx)
	switch {
	case err == nil:
		x.answer(http.StatusOK, health{"healthy", "Worker has completed startup and is ready to handle requests."})
	case ctx.Err() != nil:
		x.answer(http.StatusInternalServerError, health{"unhealthy",
			"Worker was unable to handle this request and may be unable to handle other requests. " + err.Error()})
	default:
		x.answer(http.StatusServiceUnavailable, health{"starting", "Worker is still starting up. " + err.Error()})
	}
}

func (x *exchange) connectors() {
	herder := x.herder()
	names := herder.Names()
	expand := x.asked("expand")
	if expand == nil {
		x.answer(http.StatusOK, append([]string{}, names...))
		return
	}
	all := map[string]map[string]any{}
	slices.Sort(expand)
	expand = slices.Compact(expand) // each counts once, however often it is asked for
	var others *motions
	if slices.Contains(expand, "motion") {
		var err error
		if others, err = x.motions(); err != nil {
			x.failed(err)
			return
		}
	}
	for _, name := range names {
		expanded := map[string]any{}
		var unknown, err error
		for _, e := range expand {
			switch e {
			case "info":
				expanded[e], err = x.info(name)
			case "status":
				expanded[e], err = herder.Status(name)
			case "motion":
				expanded[e], err = others.of(herder, name)
			}
			unknown = errors.Join(unknown, err)
		}
		if unknown == nil { // one that was deleted meanwhile is left out
			all[name] = expanded
		}
	}
	x.answer(http.StatusOK, all)
}

// info is what is shown of a connector.
func (x *exchange) info(name string) (connect.Info, error) {
	info, err := x.herder().Info(name)
	info.Config = x.shown(info.Config)
	return info, err
}

func (x *exchange) connector() { x.reply(x.info(x.name())) }

// config answers with the version of what is shown: one that was stored meanwhile is another one.
func (x *exchange) config() {
	withText := x.wantsText()
	text, version, err := x.worker.Source(x.name(), withText)
	var info connect.Info
	if err == nil {
		info, err = x.herder().Info(x.name())
	}
	if err != nil {
		x.failed(err)
		return
	}
	x.tagged(version)
	if withText {
		if text == nil {
			text = []byte(config.PropertiesText(info.Config))
		}
		x.sendAs(propertiesType+";charset=utf-8", http.StatusOK,
			[]byte(config.MaskedText(string(text), x.worker.Passwords())))
		return
	}
	x.answer(http.StatusOK, x.shown(info.Config))
}

func (x *exchange) status() {
	status, err := x.herder().Status(x.name())
	if err != nil {
		x.fail(http.StatusNotFound, "No status found for connector "+x.name())
		return
	}
	x.answer(http.StatusOK, status)
}

func (x *exchange) tasks() {
	tasks, err := x.herder().Tasks(x.name())
	for i := range tasks {
		tasks[i].Config = x.shown(tasks[i].Config)
	}
	x.reply(append([]connect.TaskInfo{}, tasks...), err)
}

func (x *exchange) taskStatus() {
	n, ok := x.task()
	if !ok {
		return
	}
	status, _ := x.herder().Status(x.name())
	for _, task := range status.Tasks {
		if task.ID == n {
			x.answer(http.StatusOK, task)
			return
		}
	}
	x.fail(http.StatusNotFound, fmt.Sprintf("No status found for task %s-%d", x.name(), n))
}

// plugins: connectorsOnly is true where it is not given or empty; whatever else it says counts as false, as in Java.
func (x *exchange) plugins() {
	only := true
	if given := x.first("connectorsOnly"); given != "" {
		only = strings.EqualFold(given, "true")
	}
	x.answer(http.StatusOK, append([]connect.Plugin{}, x.herder().Plugins(only)...))
}

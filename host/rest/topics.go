package rest

import (
	"errors"
	"net/http"

	"github.com/culvert-project/culvert/host/connect"
)

// topics answers also for a connector that is not there, as Kafka Connect does: with none.
func (x *exchange) topics() {
	if tracks, _ := x.worker.TracksTopics(); !tracks {
		x.fail(http.StatusForbidden, "Topic tracking is disabled.")
		return
	}
	names, _ := x.worker.Herder().Topics(x.name())
	x.answer(http.StatusOK, map[string]map[string][]string{x.name(): {"topics": append([]string{}, names...)}})
}

func (x *exchange) resetTopics() {
	switch tracks, resets := x.worker.TracksTopics(); {
	case !tracks:
		x.fail(http.StatusForbidden, "Topic tracking is disabled.")
		return
	case !resets:
		x.fail(http.StatusForbidden, "Topic tracking reset is disabled.")
		return
	}
	err := x.worker.Herder().ResetTopics(x.name())
	if errors.Is(err, connect.ErrUnknownConnector) {
		err = nil
	}
	x.done(http.StatusAccepted, err)
}

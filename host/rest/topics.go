package rest

import (
	"errors"
	"net/http"

	"github.com/culvert-project/culvert/host/connect"
)

// ErrTopics is the error where the worker's settings say that topics are not told, or not forgotten.
type ErrTopics struct{ Text string }

func (e ErrTopics) Error() string { return e.Text }

// topics answers also for a connector that is not there, as Kafka Connect does: with none.
func (x *exchange) topics() {
	names, err := x.worker.Topics(x.name())
	if x.untold(err) {
		return
	}
	if err != nil && !errors.Is(err, connect.ErrUnknownConnector) {
		x.failed(err, "")
		return
	}
	x.answer(http.StatusOK, map[string]map[string][]string{x.name(): {"topics": append([]string{}, names...)}})
}

func (x *exchange) resetTopics() {
	err := x.worker.ResetTopics(x.name())
	if x.untold(err) {
		return
	}
	if err != nil && !errors.Is(err, connect.ErrUnknownConnector) {
		x.failed(err, "")
		return
	}
	x.done(http.StatusAccepted)
}

func (x *exchange) untold(err error) bool {
	var untold ErrTopics
	if !errors.As(err, &untold) {
		return false
	}
	x.fail(http.StatusForbidden, untold.Text)
	return true
}

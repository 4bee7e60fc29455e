package rest

import (
	"net/http"

	"github.com/culvert-project/culvert/internal/history"
)

func (req *request) history() {
	result, err := req.herder().History(req.name())
	var answers []workerAnswer
	if err == nil {
		answers, err = req.queryWorkers("", http.StatusOK)
	}
	silent := mergeAnswers(answers, func(_ string, other history.History) { result.Add(other) })
	result.Silent = append(result.Silent, silent...)
	req.reply(result, err)
}

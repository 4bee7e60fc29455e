package rest

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/internal/logging"
	"github.com/culvert-project/culvert/internal/shown"
)

// LogPage is a page of the worker's last log lines.
type LogPage struct {
	WorkerID string    `json:"worker_id"`
	Lines    []LogLine `json:"lines"`
	Last     int64     `json:"last"`           // for ?after= of the next page; it ascends after a restart, too
	Lost     bool      `json:"lost,omitempty"` // lines after ?after= are no longer in memory
	// Withheld is why the lines have no attributes, "" if they have them.
	Withheld string `json:"withheld,omitempty"`
}

// LogLine is a line of the log.
type LogLine = logging.Line

const (
	defaultLogLines = 200
	maxLogLines     = 1000
)

func (req *request) log() {
	q := logging.RecentQuery{Level: req.queryValue("level"), Logger: req.queryValue("logger"),
		Connector: req.queryValue("connector")}
	after, err := req.queryNumber("after", -1, 0, math.MaxInt64)
	limit, limitErr := req.queryNumber("limit", defaultLogLines, 1, maxLogLines)
	if err = cmp.Or(err, limitErr); err != nil {
		req.failErr(err)
		return
	}
	q.After = after
	q.Limit = int(limit)
	lines, last, lost, err := req.worker.Now().Recent.Page(q)
	if err != nil {
		req.fail(http.StatusBadRequest, fmt.Sprintf("level: expected one of %s, found %q",
			strings.Join(logging.LevelNames(), ", "), shown.LineUpTo(q.Level, 100)))
		return
	}
	withheld := req.withheldInBody()
	for i := range lines { // a logged value may have become a secret since
		line := &lines[i]
		line.Message = req.worker.Redact(line.Message)
		line.Text = req.worker.Redact(line.Text)
		if withheld != "" {
			line.Text = line.Message
		}
	}
	req.answer(http.StatusOK, LogPage{WorkerID: req.worker.Now().ID, Lines: lines, Last: last, Lost: lost,
		Withheld: withheld})
}

// queryNumber returns a numeric parameter, or fallback if it is absent. The error is a [Refusal].
func (req *request) queryNumber(parameter string, fallback, minimum, maximum int64) (int64, error) {
	param := req.queryValue(parameter)
	if param == "" {
		return fallback, nil
	}
	n, err := strconv.ParseInt(param, 10, 64)
	if err != nil || n < minimum || n > maximum {
		return 0, &Refusal{http.StatusBadRequest, fmt.Sprintf("%s: expected a number from %d to %d, found %q",
			parameter, minimum, maximum, shown.LineUpTo(param, 100))}
	}
	return n, nil
}

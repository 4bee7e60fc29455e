package source

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// losing is a client whose responses with an error status report that the read's session has ended, if isLost.
type losing struct {
	*service
	isLost bool
}

func (l losing) Do(ctx context.Context, r *wit.Request) (*transport.Answer, error) {
	answer, err := l.service.Do(ctx, r)
	if err == nil && answer.Status >= 400 {
		answer.SessionLost = l.isLost
	}
	return answer, err
}

// If the plugin continues after a rejected link whose session may have ended, the log names that as a possible reason:
// after a start of the worker nothing shows it.
func TestLogNamesSessionOfLostLink(t *testing.T) {
	for _, isLost := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var out logtest.Journal
			w := newWorld(&reader{exact: true}, []string{"a=1"}, []string{"b=2"})
			rejected := false
			w.service.answer = func(page int, body string) (uint16, string, bool) {
				if page == 1 && !rejected {
					rejected = true
					return 400, "END 0 true\n", false
				}
				return 200, body, false
			}
			w.o.Client = losing{w.service, isLost}
			w.o.Logger = out.Logger(slog.LevelWarn)
			w.ok(t)
			warning := "whose token may belong to an earlier session"
			assert.Equal(t, isLost, strings.Contains(out.String(), warning), out.String())
		})
	}
}

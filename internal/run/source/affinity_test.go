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

// sessionLosingClient reports in responses with an error status whether the session of the request was lost.
type sessionLosingClient struct {
	*service
	sessionLost bool
}

func (c sessionLosingClient) Do(ctx context.Context, r *wit.Request) (*transport.Answer, error) {
	answer, err := c.service.Do(ctx, r)
	if err == nil && answer.Status >= 400 {
		answer.SessionLost = c.sessionLost
	}
	return answer, err
}

// If the plugin continues after the service rejected a next link of a lost session, the log names the session as a
// possible reason.
func TestLogNamesSessionOfLostLink(t *testing.T) {
	for _, sessionLost := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var out logtest.Journal
			w := newWorld(&reader{repeatsExactly: true}, []string{"a=1"}, []string{"b=2"})
			hasRejected := false
			w.service.respond = func(page int, body string) (uint16, string, bool) {
				if page == 1 && !hasRejected {
					hasRejected = true
					return 400, "END 0 true\n", false
				}
				return 200, body, false
			}
			w.o.Client = sessionLosingClient{w.service, sessionLost}
			w.o.Logger = out.Logger(slog.LevelWarn)
			w.mustRun(t)
			warning := "whose token may belong to an earlier session"
			assert.Equal(t, sessionLost, strings.Contains(out.String(), warning), out.String())
		})
	}
}

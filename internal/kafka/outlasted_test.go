package kafka

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// A transaction that timed out because the broker was unreachable is given up, and its feed starts over: with the same
// producer, or with a new one if the broker accepts nothing more from it. If another worker has taken over the ID in
// the meantime, the ID is left to that worker.
func TestTimedOutTransactionsStartOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		// fenced: the broker rejects the producer. state is what it returns for the ID then, with an epoch that
		// is higher by this number.
		fenced bool
		state  []string
		above  int16
		over   bool
		// says is part of the error. lines is how often the log reports the wait for brokers.
		says  string
		lines int
	}{
		"in time":               {over: true},
		"aborted by the broker": {fenced: true, state: []string{"CompleteAbort"}, above: 1, over: true},
		"being aborted": {
			fenced: true,
			state:  []string{"Ongoing", "PrepareAbort", "Ongoing", "unavailable", "unavailable", "CompleteAbort"},
			above:  1, over: true, lines: 2,
		},
		"taken over":             {fenced: true, state: []string{"Empty"}, above: 2, says: "fenced this one"},
		"taken over and at work": {fenced: true, state: []string{"Ongoing"}, above: 3, says: "fenced this one"},
		"taken over and aborted": {fenced: true, state: []string{"CompleteAbort"}, above: 2, says: "fenced this one"},
		"older brokers":          {fenced: true, says: "expected Apache Kafka 3.0 or newer"},
		"without the right": {
			fenced: true, state: []string{"CompleteAbort", "refused"}, above: 1,
			says: kerr.TransactionalIDAuthorizationFailed.Message,
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, b := transactionsBroker(t)
			config.Producer.TransactionTimeout = time.Minute
			var log logtest.Journal
			config.Logger = log.Logger(slog.LevelWarn)
			if c.fenced && c.state == nil {
				withoutDescribing(b)
			}
			o := newTransacting(t, config, "g-c-0").Output()
			require.NoError(t, sendPage(t, o, "late", 1))
			o.mu.Lock()
			producer, epoch, err := o.current.ProducerID(t.Context())
			o.startedAt = o.startedAt.Add(-2 * time.Minute)
			o.current.outageSince = func(time.Time) (string, time.Duration) { return "b:9092", 2 * time.Minute }
			o.mu.Unlock()
			require.NoError(t, err)
			if c.fenced {
				kafkatest.Reject(b.Cluster, kmsg.EndTxn, 1, kerr.InvalidProducerEpoch)
			}
			states := c.state
			b.Cluster.ControlKey(int16(kmsg.DescribeTransactions), func(r kmsg.Request) (kmsg.Response, error, bool) {
				b.Cluster.KeepControl()
				answer := r.ResponseKind().(*kmsg.DescribeTransactionsResponse)
				if slices.Contains(states, "refused") {
					kafkatest.Reject(b.Cluster, kmsg.InitProducerID, kafkatest.Unlimited,
						kerr.TransactionalIDAuthorizationFailed)
				}
				state := kmsg.NewDescribeTransactionsResponseTransactionState()
				state.TransactionalID, state.State = "g-c-0", states[0]
				state.ProducerID, state.ProducerEpoch = producer, epoch+c.above
				if states[0] == "unavailable" {
					state.ErrorCode = kerr.UnknownServerError.Code
				}
				if len(states) > 1 {
					states = states[1:]
				}
				answer.TransactionStates = append(answer.TransactionStates, state)
				return answer, nil, true
			})
			err = o.Commit(t.Context())
			rewound := (*TransactionAborted)(nil)
			if !IsTransactionTimeout(err) || errors.As(err, &rewound) != c.over {
				t.Errorf("expected to start over %t, found %v", c.over, err)
			}
			if n := strings.Count(log.String(), "when the brokers report the outcome"); n != c.lines {
				t.Errorf("expected %d lines that the brokers are waited for, found %d in\n%s", c.lines, n, log.String())
			}
			if !c.over {
				if !strings.Contains(err.Error(), "was unreachable for") || !strings.Contains(err.Error(), c.says) {
					t.Error(err)
				}
				if err := o.Flush(t.Context()); err == nil {
					t.Error("expected Flush to fail too, or the feed would start over and wait for the producer")
				}
				return
			}
			again := o.transactions.Output()
			require.NoError(t, errors.Join(sendPage(t, again, "again", 1), again.Commit(t.Context())))
			expectCommitted(t, config, "again", "1")
		})
	}
}

// withoutDescribing makes a broker respond like Apache Kafka before 3.0, which has no DescribeTransactions.
func withoutDescribing(b *embedded.Broker) {
	b.Cluster.ControlKey(int16(kmsg.ApiVersions), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		answer := r.ResponseKind().(*kmsg.ApiVersionsResponse)
		kversion.Stable().EachMaxKeyVersion(func(key, most int16) {
			if key == int16(kmsg.DescribeTransactions) {
				return
			}
			one := kmsg.NewApiVersionsResponseApiKey()
			one.ApiKey, one.MaxVersion = key, most
			answer.ApiKeys = append(answer.ApiKeys, one)
		})
		return answer, nil, true
	})
}

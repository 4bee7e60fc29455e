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

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/logtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// A timedOutCase is what a broker knows about a transaction that has timed out.
type timedOutCase struct {
	fenced bool     // the broker rejects the producer
	states []string // states that the broker then returns for the transactional ID, in this order; the last one stays
	epochs int16    // the broker's epoch minus the producer's

	startsOver bool   // expected: the feed may start over
	message    string // expected in the error
	lines      int    // expected lines of the log about the wait for brokers
}

var timedOutCases = map[string]timedOutCase{
	"in time":               {startsOver: true},
	"aborted by the broker": {fenced: true, states: []string{"CompleteAbort"}, epochs: 1, startsOver: true},
	"being aborted": {
		fenced: true,
		states: []string{"Ongoing", "PrepareAbort", "Ongoing", "unavailable", "unavailable", "CompleteAbort"},
		epochs: 1, startsOver: true, lines: 2,
	},
	"taken over":             {fenced: true, states: []string{"Empty"}, epochs: 2, message: "fenced this one"},
	"taken over and at work": {fenced: true, states: []string{"Ongoing"}, epochs: 3, message: "fenced this one"},
	"taken over and aborted": {fenced: true, states: []string{"CompleteAbort"}, epochs: 2, message: "fenced this one"},
	"older brokers":          {fenced: true, message: "expected Apache Kafka 3.0 or newer"},
	"without the right": {
		fenced: true, states: []string{"CompleteAbort", "refused"}, epochs: 1,
		message: kerr.TransactionalIDAuthorizationFailed.Message,
	},
}

// A transaction that timed out because the broker was unreachable is given up, and its feed starts over: with the same
// producer, or with a new one if the broker accepts nothing more from it. If another worker has taken over the ID in
// the meantime, the ID is left to that worker.
func TestTimedOutTransactionsStartOver(t *testing.T) {
	t.Parallel()
	for name, c := range timedOutCases {
		t.Run(name, func(t *testing.T) { checkTimedOut(t, c) })
	}
}

func checkTimedOut(t *testing.T, c timedOutCase) {
	config, b := transactionsBroker(t)
	config.Producer.TransactionTimeout = time.Minute
	var log logtest.Journal
	config.Logger = log.Logger(slog.LevelWarn)
	if c.fenced && c.states == nil {
		hideDescribeTransactions(b)
	}
	o := openTestTransactions(t, config, "g-c-0").Output()
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
	describeAs(b, c.states, producer, epoch+c.epochs)
	err = o.Commit(t.Context())
	assert.True(t, IsTransactionTimeout(err) && errors.As(err, new(*TransactionAbortedError)) == c.startsOver,
		"expected to start over %t, found %v", c.startsOver, err)
	if n := strings.Count(log.String(), "when the brokers report the outcome"); n != c.lines {
		t.Errorf("expected %d lines that the brokers are waited for, found %d in\n%s", c.lines, n, log.String())
	}
	if !c.startsOver {
		assert.True(t, strings.Contains(err.Error(), "was unreachable for") && strings.Contains(err.Error(), c.message),
			"expected an error about the outage with %q, found %v", c.message, err)
		err := o.Flush(t.Context())
		assert.True(t, err != nil, "expected Flush to fail too, or the feed would start over and wait for the producer")
		return
	}
	restarted := o.transactions.Output()
	require.NoError(t, errors.Join(sendPage(t, restarted, "again", 1), restarted.Commit(t.Context())))
	expectCommitted(t, config, "again", "1")
}

// describeAs makes the broker describe the transaction of a producer with these states, one after another.
func describeAs(b *embedded.Broker, states []string, producer int64, epoch int16) {
	b.Cluster.ControlKey(int16(kmsg.DescribeTransactions), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.DescribeTransactionsResponse)
		if slices.Contains(states, "refused") {
			kafkatest.Reject(b.Cluster, kmsg.InitProducerID, kafkatest.Unlimited,
				kerr.TransactionalIDAuthorizationFailed)
		}
		state := kmsg.NewDescribeTransactionsResponseTransactionState()
		state.TransactionalID = "g-c-0"
		state.State = states[0]
		state.ProducerID = producer
		state.ProducerEpoch = epoch
		if states[0] == "unavailable" {
			state.ErrorCode = kerr.UnknownServerError.Code
		}
		if len(states) > 1 {
			states = states[1:]
		}
		response.TransactionStates = append(response.TransactionStates, state)
		return response, nil, true
	})
}

// hideDescribeTransactions makes a broker respond like Apache Kafka before 3.0, which has no DescribeTransactions.
func hideDescribeTransactions(b *embedded.Broker) {
	b.Cluster.ControlKey(int16(kmsg.ApiVersions), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.Cluster.KeepControl()
		response := r.ResponseKind().(*kmsg.ApiVersionsResponse)
		kversion.Stable().EachMaxKeyVersion(func(key, maxVersion int16) {
			if key == int16(kmsg.DescribeTransactions) {
				return
			}
			apiKey := kmsg.NewApiVersionsResponseApiKey()
			apiKey.ApiKey = key
			apiKey.MaxVersion = maxVersion
			response.ApiKeys = append(response.ApiKeys, apiKey)
		})
		return response, nil, true
	})
}

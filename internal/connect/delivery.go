package connect

import (
	"context"
	"errors"
	"fmt"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/internal/run/source"
	"github.com/culvert-project/culvert/wit"
)

// delivery sends the records of a source task to Kafka and stores their offsets. output is called after prepare.
type delivery struct {
	// prepare is called before offsets are read, and again before a feed starts over. It may be nil.
	prepare func(ctx context.Context, feeds int) error
	output  func(feed string) (source.Output, error)
	close   func(ctx context.Context)
}

// newDelivery returns the delivery of an owner of offsets. ids returns the transactional IDs of its producers.
func (t *task) newDelivery(owner string, ids func(feeds int) []string) delivery {
	switch {
	case t.run.isExactlyOnce():
		return t.transactionalDelivery(owner, ids)
	case t.run.clients.producersPerTask > 0:
		return t.fencedDelivery(owner, ids)
	}
	return t.atLeastOnceDelivery(owner)
}

func (t *task) atLeastOnceDelivery(owner string) delivery {
	writer := t.run.clients.offsets.NewWriter(owner, t.metrics.Commits.Record)
	return delivery{
		output: func(string) (source.Output, error) { return t.idempotentOutput(writer) },
		close:  func(ctx context.Context) { t.closeWriter(ctx, writer) },
	}
}

// fencedDelivery sends records at least once, and offsets with a producer that another worker can fence.
func (t *task) fencedDelivery(owner string, ids func(feeds int) []string) delivery {
	run := t.run
	var writer *offset.Writer
	return delivery{
		prepare: func(ctx context.Context, _ int) (err error) {
			if err := t.checkLease(ctx); err != nil {
				return err
			}
			if writer == nil {
				record := t.metrics.Commits.Record
				writer, err = run.clients.offsets.OpenTransactionalWriter(ctx, owner, ids(1)[0], record)
				if err != nil {
					return err
				}
				if err := t.checkLease(ctx); err != nil {
					return err
				}
			}
			return run.clients.offsets.RefreshCommitted(ctx)
		},
		output: func(string) (source.Output, error) { return t.idempotentOutput(writer) },
		close: func(ctx context.Context) {
			if writer != nil {
				t.closeWriter(ctx, writer)
			}
		},
	}
}

func (t *task) transactionalDelivery(owner string, ids func(feeds int) []string) delivery {
	run := t.run
	offsets := run.clients.offsets.NewTransactional(owner)
	var transactions *kafka.Transactions
	return delivery{
		prepare: func(ctx context.Context, feeds int) error {
			if err := t.checkLease(ctx); err != nil {
				return err
			}
			if transactions == nil {
				kafkaConfig, _ := run.producerConfig()
				clientID := fmt.Sprintf("connector-producer-%s-%d", run.config.Name, t.number)
				var err error
				transactions, err = kafka.OpenTransactions(ctx, kafkaConfig, clientID, ids(feeds), offsets)
				if err != nil {
					return err
				}
				transactions.OnCommit = t.metrics.Commits.RecordTransaction
				if err := t.checkLease(ctx); err != nil {
					return err
				}
			}
			return run.clients.offsets.RefreshCommitted(ctx)
		},
		output: func(string) (source.Output, error) {
			if transactions == nil {
				return nil, errors.New("no transactional producers are open")
			}
			return transactions.Output(), nil
		},
		close: func(ctx context.Context) {
			if transactions != nil {
				transactions.Close()
			}
			offsets.Close(ctx)
		},
	}
}

func (t *task) idempotentOutput(writer *offset.Writer) (source.Output, error) {
	kafkaConfig, key := t.run.producerConfig()
	producer, err := kafkaConfig.SharedProducer(key, "connector-producer")
	if err != nil {
		return nil, err
	}
	return kafka.NewOutput(producer, writer), nil
}

func (t *task) closeWriter(ctx context.Context, writer *offset.Writer) {
	if err := t.asFencedError(writer.Close(ctx)); err != nil {
		t.run.log.Warn("offsets could not be written: later rows will be repeated", "task", t.number, "error", err)
	}
}

func (t *task) transactionalIDs(feeds int) []string {
	ids := make([]string, min(max(1, feeds), concurrentProducers))
	for i := range ids {
		ids[i] = kafka.TransactionalID(t.run.options.Worker.Text("group.id"), t.run.config.Name, t.number, i)
	}
	return ids
}

// checkLease returns an error unless the worker is still a member of its group: only a member may fence. It is called
// before and after producers are opened, because the worker may be suspended in between.
func (t *task) checkLease(ctx context.Context) error {
	if err := t.run.options.Group.CheckLease(ctx); err != nil {
		return &wit.Error{Kind: wit.ErrorTransient,
			Message: "the task's producers are not opened, because the worker may have left its group: " + err.Error()}
	}
	return nil
}

// asFencedError replaces the error of a producer that another worker has fenced by a transient error: the group revokes
// the task, or this worker was suspended. Other errors are returned as they are. The task is FAILED and not UNASSIGNED,
// which would hide a second cluster with the same group.id. It restarts only after a delay and as a member, so that two
// workers do not fence each other in a loop.
func (t *task) asFencedError(err error) error {
	id := kafka.FencedTransactionalID(err)
	if !t.run.options.Group.InGroup() || id == "" {
		return err
	}
	return &wit.Error{Kind: wit.ErrorTransient, Message: fmt.Sprintf("transactional id %s: another worker has fenced "+
		"the producer and owns the task until the group assigns it here again", id)}
}

package cluster

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/kafka"
)

// Fencer fence, for the leader of a group, the transactional producers that tasks of connectors had before. Of one
// connector a call goes after another; the ledger keeps what was done, for leaders after this one.
type Fencer struct {
	ledger config.ClusterState
	group  string
	leads  func(context.Context) error
	turns  [64]guard.Turn // by the names of connectors
}

// NewFencer are those of a group by its name, which is group.id. leads is asked before anything is fenced, see
// [Worker.CheckLeader]: what a leader does that was paused would end what workers of the next one write.
func NewFencer(ledger config.ClusterState, group string, leads func(context.Context) error) *Fencer {
	f := &Fencer{ledger: ledger, group: group, leads: leads}
	for i := range f.turns {
		f.turns[i] = guard.NewTurn()
	}
	return f
}

// Fence ends what producers of a connector have open on the cluster of its producers, those that it had and those that
// it is to have, and remembers how many it has now. Tasks of a version are fenced once, whoever asks how often, since
// those of other workers may write by then (Kafka Connect: DistributedHerder.fenceZombieSourceTasks); with version 0
// they are in any case. Errors are [ErrNotLeader], the brokers', and the ledger's: then none of its tasks may begin.
func (f *Fencer) Fence(ctx context.Context, producers kafka.Config, connector string, version int64,
	now config.FencingCounts) error {
	turn := f.turns[crc32.ChecksumIEEE([]byte(connector))%uint32(len(f.turns))]
	if err := turn.Lock(ctx); err != nil {
		return fmt.Errorf("fence earlier producers of connector %s: %w", connector, err)
	}
	defer turn.Unlock()
	if err := f.leads(ctx); err != nil {
		return err
	}
	before := f.ledger.Fencing(connector)
	if version > 0 && before.At > version {
		return nil
	}
	all := now.Max(before)
	ids := kafka.TransactionalIDs(f.group, connector, all.Tasks, all.Producers)
	if len(ids) == 0 {
		return nil
	}
	if err := kafka.Fence(ctx, producers, ids); err != nil {
		return err
	}
	_, err := f.ledger.Write(ctx, config.FencingRecords(connector, now)...)
	return err
}

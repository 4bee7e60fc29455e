package cluster

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka"
)

// Fencer fences, on the leader, the transactional producers of a connector's earlier tasks, one call at a time.
type Fencer struct {
	state       configtopic.ClusterState
	group       string
	checkLeader func(context.Context) error
	locks       [64]guard.CtxMutex // by hash of the connector name
}

// NewFencer returns the fencer of a group. checkLeader is called before anything is fenced, see [Worker.CheckLeader]: a
// leader that was paused must not fence producers of the next leader's tasks.
func NewFencer(state configtopic.ClusterState, group string, checkLeader func(context.Context) error) *Fencer {
	f := &Fencer{state: state, group: group, checkLeader: checkLeader}
	for i := range f.locks {
		f.locks[i] = guard.NewCtxMutex()
	}
	return f
}

// Fence aborts open transactions of a connector's earlier and future producers, and records the current counts. Tasks
// of a version are fenced once (Kafka Connect: DistributedHerder.fenceZombieSourceTasks), because tasks of other
// workers may write by then; version 0 is always fenced. After an error no task may start.
func (f *Fencer) Fence(ctx context.Context, producers kafka.Config, connector string, version int64,
	current config.FencingCounts) error {
	lock := f.locks[crc32.ChecksumIEEE([]byte(connector))%uint32(len(f.locks))]
	if err := lock.Lock(ctx); err != nil {
		return fmt.Errorf("fence earlier producers of connector %s: %w", connector, err)
	}
	defer lock.Unlock()
	if err := f.checkLeader(ctx); err != nil {
		return err
	}
	recorded := f.state.Fencing(connector)
	if version > 0 && recorded.At > version { // recorded after the plan: its tasks are fenced
		return nil
	}
	merged := current.Max(recorded)
	ids := kafka.TransactionalIDs(f.group, connector, merged.Tasks, merged.Producers)
	if len(ids) == 0 {
		return nil
	}
	if err := kafka.Fence(ctx, producers, ids); err != nil {
		return err
	}
	_, err := f.state.Write(ctx, configtopic.FencingRecords(connector, current)...)
	return err
}

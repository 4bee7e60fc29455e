package rest

import (
	"context"

	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/configtopic"
)

// Cluster is REST's view of the worker's group, safe for concurrent use. Methods without a context do not wait.
type Cluster interface {
	Membership() Membership
	// Owner returns the worker that runs a task of a connector; task -1 means the connector itself. A worker that does
	// not know the owner returns the leader, as in Kafka Connect. isSelf is also true if there is no such connector or
	// task, so that this worker answers 404. known is false if no worker runs it at the moment.
	Owner(connector string, task int) (url string, isSelf, known bool)
	// Overview returns the leader's view of the group; ok is false on other workers.
	Overview() (o groupview.Group, ok bool)
	ClusterChanger
}

// ClusterChanger changes what the workers of a group run.
type ClusterChanger interface {
	// Drain moves everything that this worker runs to other workers. Without others the error is a [Refusal].
	Drain(ctx context.Context) error
	Publish(ctx context.Context, r configtopic.Record) error // writes to the config topic
	// Choose switches all workers to the plugin version with a hash; "" means the previous version. Only the leader
	// can. The error is plugin.ErrUnknownVersion if no worker has it.
	Choose(ctx context.Context, plugin, hash string) error
}

// Membership is a worker's role in its group. URLs are the ones that workers advertise in the group's metadata. A
// request, which includes its user's Authorization header, is forwarded to no other URL.
type Membership struct {
	IsStandalone bool   // the worker is in no group, and leads itself
	URL          string // advertised by this worker
	Leader       string // advertised by the leader
	IsLeader     bool
	LeaderKnown  bool
	Pending      bool  // a rebalance is expected, after which other workers may own tasks
	Blocked      error // why the group must not use its topics, nil if it may
}

func (o *Options) cluster() Cluster {
	if o.Cluster == nil {
		return standalone{}
	}
	return o.Cluster
}

// standalone is the [Cluster] of a worker in no group.
type standalone struct{}

// Membership implements [Cluster].
func (standalone) Membership() Membership {
	return Membership{IsStandalone: true, IsLeader: true, LeaderKnown: true}
}

// Owner implements [Cluster].
func (standalone) Owner(string, int) (url string, isSelf, known bool) { return "", true, true }

// Overview implements [Cluster].
func (standalone) Overview() (o groupview.Group, ok bool) { return o, true }

// Drain implements [Cluster].
func (standalone) Drain(context.Context) error { return errNoGroup }

// Publish implements [Cluster].
func (standalone) Publish(context.Context, configtopic.Record) error { return nil }

// Choose implements [Cluster].
func (standalone) Choose(context.Context, string, string) error { return errNoGroup }

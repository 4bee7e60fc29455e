package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/culvert-project/culvert/host/cluster"
	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/rest"
)

// herding is the herder of a worker in a group as REST has it: of what the workers share, it shows what all of them do.
type herding struct {
	*connect.Herder
	of *clustered
}

// Info implements [rest.Herder].
func (g herding) Info(name string) (connect.Info, error) {
	info, err := g.Herder.Info(name)
	if err != nil {
		return info, err
	}
	info.Tasks = []connect.TaskID{}
	tasks, err := g.Tasks(name)
	for _, t := range tasks {
		info.Tasks = append(info.Tasks, t.ID)
	}
	return info, err
}

// Tasks implements [rest.Herder].
func (g herding) Tasks(name string) ([]connect.TaskInfo, error) {
	if _, err := g.Herder.Info(name); err != nil {
		return nil, err
	}
	infos := []connect.TaskInfo{}
	if set := g.of.store.TaskConfigs(name); set != nil {
		for n, settings := range set.Settings {
			infos = append(infos, connect.TaskInfo{ID: connect.TaskID{Connector: name, Task: n}, Config: settings})
		}
	}
	return infos, nil
}

// Status implements [rest.Herder]: what the status topic says, which is the same at every worker.
func (g herding) Status(name string) (connect.Status, error) {
	own, err := g.Herder.Status(name)
	if err != nil {
		return own, err
	}
	said, ok := g.of.status.Connector(name)
	if !ok {
		said.State = connect.Unassigned
	}
	shown := connect.Status{Name: name, Type: own.Type, Tasks: []connect.TaskStatus{}}
	c := &shown.Connector
	_ = json.Unmarshal([]byte(said.Extension), c) // workers of Kafka Connect, and of versions before, say nothing there
	c.State, c.WorkerID, c.Trace, c.Version, c.File = said.State, said.WorkerID, said.Trace, said.Version,
		own.Connector.File
	for _, said := range g.of.status.Tasks(name) {
		var t connect.TaskStatus
		_ = json.Unmarshal([]byte(said.Extension), &t)
		t.ID, t.State, t.WorkerID, t.Trace, t.Version = said.Task, said.State, said.WorkerID, said.Trace, said.Version
		shown.Tasks = append(shown.Tasks, t)
	}
	return shown, nil
}

// Topics implements [rest.Herder].
func (g herding) Topics(name string) ([]string, error) {
	if _, err := g.Herder.Topics(name); err != nil {
		return nil, err
	}
	return g.of.status.Topics(name), nil
}

// ResetTopics implements [rest.Herder].
func (g herding) ResetTopics(name string) error {
	err := g.Herder.ResetTopics(name)
	if err == nil {
		g.of.status.ResetTopics(name)
	}
	return err
}

// AlterOffsets implements [rest.Herder]: once no worker has tasks of the connector.
func (g herding) AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error {
	return g.still(ctx, name, func() error { return g.Herder.AlterOffsets(ctx, name, entries) })
}

// ResetOffsets implements [rest.Herder].
func (g herding) ResetOffsets(ctx context.Context, name string) error {
	return g.still(ctx, name, func() error { return g.Herder.ResetOffsets(ctx, name) })
}

// still is [cluster.Worker.Still] for a connector that is there.
func (g herding) still(ctx context.Context, name string, do func() error) error {
	if _, err := g.Herder.RunningConfig(name); err != nil {
		return err
	}
	return conflict(g.of.WhenStopped(ctx, name, do))
}

// aimAt has the config topic say what a connector is to do, which all workers read.
func (c *clustered) aimAt(ctx context.Context, name string, target connect.TargetState) error {
	if _, there := c.store.ConfigOffset(name); !there {
		return fmt.Errorf("%s: %w", name, connect.ErrUnknownConnector)
	}
	if target == connect.Stopped { // what it ran is to be planned when it goes on, as in Kafka Connect
		_, err := c.store.Write(ctx, config.TargetRecord(name, config.TargetStopped), config.CommitRecord(name, 0))
		return conflict(err)
	}
	return conflict(c.store.Put(ctx, name, config.Stored{Target: targetName(target)}))
}

// conflict is how REST answers what the group has not done.
func conflict(err error) error {
	switch {
	case errors.Is(err, cluster.ErrNotLeader), errors.Is(err, cluster.ErrLastMember),
		errors.As(err, new(*config.OtherGroupError)):
		return &rest.Refusal{Status: http.StatusConflict, Message: err.Error()}
	case errors.As(err, new(*cluster.WriteError)):
		return &rest.Refusal{Status: http.StatusInternalServerError, Message: err.Error()}
	}
	return err
}

// Summaries implements [rest.Herder]: of what other workers run it has what the status topic says.
func (g herding) Summaries() []connect.Summary {
	all := g.Herder.Summaries()
	here := g.of.host.workerID()
	for i := range all {
		c := &all[i]
		own := c.Components
		c.Components = own[:1:1]
		if said, ok := g.of.status.Connector(c.Name); ok && !own[0].Local && said.State == connect.Failed {
			c.Components[0] = connect.RemoteStatus(-1, said.State, said.WorkerID,
				g.of.host.in.Worker.Redact(said.Trace))
		} else if ok && !own[0].Local {
			c.Components[0].WorkerID = said.WorkerID
		}
		for _, t := range g.of.status.Tasks(c.Name) {
			part := connect.RemoteStatus(t.Task, t.State, t.WorkerID, g.of.host.in.Worker.Redact(t.Trace))
			at := slices.IndexFunc(own, func(p connect.ComponentStatus) bool { return p.Task == t.Task })
			if at >= 0 && t.WorkerID == here {
				part = own[at]
			}
			c.Components = append(c.Components, part)
		}
	}
	return all
}

package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/culvert-project/culvert/internal/cluster"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/rest"
	"github.com/culvert-project/culvert/internal/run/offset"
)

// Herder implements [View].
func (w *Worker) Herder(herder *connect.Herder) rest.Herder { return groupHerder{herder, w} }

type groupHerder struct {
	*connect.Herder
	group *Worker
}

func (g groupHerder) Info(name string) (connect.Info, error) {
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

func (g groupHerder) Tasks(name string) ([]connect.TaskInfo, error) {
	if _, err := g.Herder.Info(name); err != nil {
		return nil, err
	}
	infos := []connect.TaskInfo{}
	if set := g.group.store.TaskConfigs(name); set != nil {
		for n, settings := range set.Settings {
			infos = append(infos, connect.TaskInfo{ID: connect.TaskID{Connector: name, Task: n}, Config: settings})
		}
	}
	return infos, nil
}

// Status implements [rest.Herder] from the status topic, which is the same for all workers.
func (g groupHerder) Status(name string) (connect.Status, error) {
	local, err := g.Herder.Status(name)
	if err != nil {
		return local, err
	}
	stored, ok := g.group.status.Connector(name)
	if !ok {
		stored.State = connect.Unassigned
	}
	status := connect.Status{Name: name, Type: local.Type, Tasks: []connect.TaskStatus{}}
	c := &status.Connector
	_ = json.Unmarshal([]byte(stored.Extension), c) // empty if Kafka Connect wrote it
	c.State = stored.State
	c.WorkerID = stored.WorkerID
	c.Trace = stored.Trace
	c.Version = stored.Version
	c.File = local.Connector.File
	for _, storedTask := range g.group.status.Tasks(name) {
		var t connect.TaskStatus
		_ = json.Unmarshal([]byte(storedTask.Extension), &t)
		t.ID = storedTask.Task
		t.State = storedTask.State
		t.WorkerID = storedTask.WorkerID
		t.Trace = storedTask.Trace
		t.Version = storedTask.Version
		status.Tasks = append(status.Tasks, t)
	}
	return status, nil
}

func (g groupHerder) Topics(name string) ([]string, error) {
	if _, err := g.Herder.Topics(name); err != nil {
		return nil, err
	}
	return g.group.status.Topics(name), nil
}

func (g groupHerder) ResetTopics(name string) error {
	err := g.Herder.ResetTopics(name)
	if err == nil {
		g.group.status.ResetTopics(name)
	}
	return err
}

// AlterOffsets implements [rest.Herder]: it waits until no worker has tasks of the connector.
func (g groupHerder) AlterOffsets(ctx context.Context, name string, entries []offset.Entry) error {
	return g.whenStopped(ctx, name, func() error { return g.Herder.AlterOffsets(ctx, name, entries) })
}

func (g groupHerder) ResetOffsets(ctx context.Context, name string) error {
	return g.whenStopped(ctx, name, func() error { return g.Herder.ResetOffsets(ctx, name) })
}

// whenStopped calls change once no worker has tasks of the connector.
func (g groupHerder) whenStopped(ctx context.Context, name string, change func() error) error {
	if _, err := g.Herder.RunningConfig(name); err != nil {
		return err
	}
	return AsRESTError(g.group.WhenStopped(ctx, name, change))
}

// SetTargetState implements [Member].
func (w *Worker) SetTargetState(ctx context.Context, name string, target connect.TargetState) error {
	w.targetMu.Lock()
	defer w.targetMu.Unlock()
	if _, ok := w.store.ConfigOffset(name); !ok {
		return fmt.Errorf("%s: %w", name, connect.ErrUnknownConnector)
	}
	if target == connect.Stopped { // its tasks are planned again when it resumes, as in Kafka Connect
		_, err := w.store.Write(ctx, configtopic.TargetRecord(name, config.TargetStopped),
			configtopic.CommitRecord(name, 0))
		return AsRESTError(err)
	}
	return AsRESTError(w.store.Put(ctx, name, config.Stored{Target: target.StoredName()}))
}

// AsRESTError converts an error of the group for REST. It returns other errors unchanged.
func AsRESTError(err error) error {
	switch {
	case errors.Is(err, cluster.ErrNotLeader), errors.Is(err, cluster.ErrLastMember),
		errors.As(err, new(*configtopic.OtherGroupError)):
		return &rest.Refusal{Status: http.StatusConflict, Message: err.Error()}
	case errors.As(err, new(*cluster.WriteError)):
		return &rest.Refusal{Status: http.StatusInternalServerError, Message: err.Error()}
	}
	return err
}

// Summaries implements [rest.Herder]; states of other workers' tasks are from the status topic.
func (g groupHerder) Summaries() []connect.Summary {
	summaries := g.Herder.Summaries()
	ownID := g.group.workerID()
	for i := range summaries {
		summary := &summaries[i]
		local := summary.Components
		summary.Components = local[:1:1] // the connector itself; tasks are appended to a copy
		tasks := g.group.status.Tasks(summary.Name)
		if !local[0].Local {
			summary.Components[0] = g.remoteConnector(&local[0], summary.Name)
		}
		if len(tasks) == 0 && summary.Components[0].Condition == connect.ConditionIdle {
			summary.Components[0].Condition = connect.ConditionStarting // no task has a status yet
		}
		for _, task := range tasks {
			component := g.remoteStatus(&task)
			index := slices.IndexFunc(local, func(c connect.ComponentStatus) bool { return c.Task == task.Task })
			if index >= 0 && task.WorkerID == ownID {
				component = local[index]
			}
			summary.Components = append(summary.Components, component)
		}
	}
	return summaries
}

// remoteConnector returns the status of a connector that another worker runs. Its target state is known here.
func (g groupHerder) remoteConnector(local *connect.ComponentStatus, name string) connect.ComponentStatus {
	stored, ok := g.group.status.Connector(name)
	if !ok {
		stored = cluster.Status{Task: -1, State: connect.Unassigned}
	}
	component := g.remoteStatus(&stored)
	switch {
	case component.Condition == connect.ConditionFailed:
		// a failure precedes the target state
	case local.Condition == connect.ConditionPaused || local.Condition == connect.ConditionStopped:
		component = *local
		component.WorkerID = stored.WorkerID
	}
	component.Activity.Topics = local.Activity.Topics
	return component
}

func (g groupHerder) remoteStatus(stored *cluster.Status) connect.ComponentStatus {
	var extension struct{ Restarts string }
	_ = json.Unmarshal([]byte(stored.Extension), &extension) // empty if Kafka Connect wrote it
	return connect.RemoteStatus(stored.Task, stored.State, stored.WorkerID, g.group.Settings.Redact(stored.Trace),
		extension.Restarts)
}

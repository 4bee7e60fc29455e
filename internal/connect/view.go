package connect

import (
	"errors"
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/run/transform"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// view is a snapshot of a connector, from which its state is shown without the controller's lock.
type view struct {
	name string
	spec
	status
	// tasks are the shown tasks, of the previous run until the current ones are known; empty if stopped.
	tasks     []taskView
	lastTasks []taskView        // the same, also if the connector is stopped
	client    *transport.Client // nil if the current run has no tasks
}

type taskView struct {
	run      *connectorRun
	number   int
	settings []wit.Setting
	taskStatus
	clock stateClock
}

func (ctl *controller) observe() *view {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	snapshot := &view{name: ctl.name, spec: ctl.spec, status: ctl.status}
	snapshot.status.clocks = nil // it changes concurrently
	snapshot.client = snapshot.taskClient()
	run := snapshot.shownRun()
	for _, t := range run.taskSet.tasks {
		taskSnapshot := taskView{run: run, number: t.number, settings: t.settings, taskStatus: t.taskStatus}
		if clock := ctl.status.clocks[t.number]; clock != nil {
			taskSnapshot.clock = *clock
		}
		snapshot.lastTasks = append(snapshot.lastTasks, taskSnapshot)
	}
	if snapshot.state != Stopped {
		snapshot.tasks = snapshot.lastTasks
	}
	return snapshot
}

// client returns the client of the tasks' requests, nil without tasks.
func (ctl *controller) client() *transport.Client {
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	return ctl.status.taskClient()
}

func (v *view) redact(text string) string { return v.currentRun.options.Worker.Redact(text) }

func (v *view) failures() (failures []error) {
	if v.err != nil {
		failures = append(failures, &connectorError{Connector: v.name, Task: -1, Cause: v.err})
	}
	for _, task := range v.tasks {
		if task.err != nil {
			failures = append(failures, &connectorError{Connector: v.name, Task: task.number, Cause: task.err})
		}
	}
	return failures
}

func (v *view) info() Info {
	info := Info{Name: v.name, Config: v.config.Raw(), Tasks: []TaskID{}, Type: v.currentRun.kind()}
	if v.config.Text("connector.class") != v.currentRun.accepted.Text("connector.class") { // the next run has it
		info.Type = newConnectorRun(v.currentRun.controller, v.options, v.config).kind()
	}
	for _, task := range v.tasks {
		info.Tasks = append(info.Tasks, TaskID{v.name, task.number})
	}
	return info
}

func (v *view) restStatus() Status {
	info := v.currentRun.config.Class.Module
	result := Status{Name: v.name, Type: v.currentRun.kind(), Tasks: []TaskStatus{}, Connector: ConnectorStatus{
		State: v.state, WorkerID: v.options.WorkerID, Version: info.Version, Plugin: pluginFile(info),
		File: v.config.File}}
	if v.err != nil {
		result.Connector.Trace = v.redact(trace(v.err, "connector "+v.name))
		result.Connector.Restarts = formatRestart(v.restartsAt)
	}
	if v.rejected.Err() != nil {
		result.Connector.ConfigError = v.redact(v.rejected.Error())
	}
	for _, task := range v.tasks {
		info := task.run.config.Class.Module
		shownTask := TaskStatus{ID: task.number, State: task.state, WorkerID: v.options.WorkerID, Version: info.Version}
		if task.fillPlugins != nil {
			task.fillPlugins(&shownTask)
		}
		if task.state == Running && v.client != nil {
			shownTask.Trace = v.redact(v.client.Waiting())
		}
		if task.err != nil {
			pluginName := info.Name + " " + shownTask.Version
			if transformError, ok := errors.AsType[*transform.Error](task.err); ok {
				pluginName = transformError.Plugin
			}
			frame := fmt.Sprintf("task %s-%d (%s)", v.name, task.number, pluginName)
			shownTask.Trace = v.redact(trace(task.err, frame))
			shownTask.Restarts = formatRestart(task.restartsAt)
		}
		result.Tasks = append(result.Tasks, shownTask)
	}
	return result
}

func (v *view) runningConnector() resolved.RunningConnector {
	return resolved.RunningConnector{Name: v.name, File: v.config.File, Raw: v.config.Raw(), Config: v.config,
		Rejected: v.config.Problems.Err() != nil, HasFailed: v.state != Running ||
			slices.ContainsFunc(v.tasks, func(task taskView) bool { return task.state != Running })}
}

func (v *view) taskInfos() (infos []TaskInfo) {
	for _, task := range v.tasks {
		infos = append(infos, TaskInfo{ID: TaskID{v.name, task.number},
			Config: task.run.unresolvedTaskConfig(v.config, task.settings)})
	}
	return infos
}

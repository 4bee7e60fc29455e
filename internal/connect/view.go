package connect

import (
	"fmt"
	"slices"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/transport"
	"github.com/culvert-project/culvert/wit"
)

// view is a snapshot of a connector's spec and status. Whatever is shown of a connector is computed from it, without
// the controller's lock.
type view struct {
	name string
	spec
	status
	// tasks are the shown tasks: those of the previous run until the current ones are known, none if stopped. lastTasks
	// also has the tasks of a stopped connector.
	tasks, lastTasks []taskView
	client           *transport.Client
}

type taskView struct {
	run      *connectorRun
	number   int
	settings []wit.Setting
	taskStatus
	clock stateClock
}

func (k *controller) observe() *view {
	k.mu.Lock()
	defer k.mu.Unlock()
	v := &view{name: k.name, spec: k.spec, status: k.status}
	v.status.clocks = nil // it changes concurrently
	if len(v.currentRun.set.tasks) > 0 {
		v.client = v.currentRun.clients.client
	}
	shown := v.shownRun()
	for _, t := range shown.set.tasks {
		one := taskView{run: shown, number: t.number, settings: t.settings, taskStatus: t.taskStatus}
		if times := k.status.clocks[t.number]; times != nil {
			one.clock = *times
		}
		v.lastTasks = append(v.lastTasks, one)
	}
	if v.state != Stopped {
		v.tasks = v.lastTasks
	}
	return v
}

func (v *view) redact(text string) string { return v.currentRun.options.Worker.Redact(text) }

func (v *view) failures() (failures []error) {
	if v.err != nil {
		failures = append(failures, &failure{v.name, -1, v.err})
	}
	for _, t := range v.tasks {
		if t.err != nil {
			failures = append(failures, &failure{v.name, t.number, t.err})
		}
	}
	return failures
}

func (v *view) info() Info {
	info := Info{Name: v.name, Config: v.config.Raw(), Tasks: []TaskID{}, Type: v.currentRun.kind()}
	if v.config.Text("connector.class") != v.currentRun.accepted.Text("connector.class") { // the next run has it
		info.Type = newConnectorRun(v.currentRun.controller, v.options, v.config).kind()
	}
	for _, t := range v.tasks {
		info.Tasks = append(info.Tasks, TaskID{v.name, t.number})
	}
	return info
}

func (v *view) restStatus() Status {
	info := v.currentRun.class.plugin
	s := Status{Name: v.name, Type: v.currentRun.kind(), Tasks: []TaskStatus{},
		Connector: ConnectorStatus{State: v.state,
			WorkerID: v.options.WorkerID, Version: info.Version, Plugin: pluginFile(info), File: v.config.File}}
	if v.err != nil {
		s.Connector.Trace = v.redact(trace(v.err, "connector "+v.name))
		s.Connector.Restarts = formatRestart(v.restartsAt)
	}
	if v.rejected.Err() != nil {
		s.Connector.ConfigError = v.redact(v.rejected.Error())
	}
	for _, t := range v.tasks {
		info := t.run.class.plugin
		one := TaskStatus{ID: t.number, State: t.state, WorkerID: v.options.WorkerID, Version: info.Version}
		if t.fillPlugins != nil {
			t.fillPlugins(&one)
		}
		if t.state == Running && v.client != nil {
			one.Trace = v.redact(v.client.Waiting())
		}
		if t.err != nil {
			at := fmt.Sprintf("task %s-%d (%s %s)", v.name, t.number, info.Name, one.Version)
			one.Trace = v.redact(trace(t.err, at))
			one.Restarts = formatRestart(t.restartsAt)
		}
		s.Tasks = append(s.Tasks, one)
	}
	return s
}

func (v *view) runningConnector() config.RunningConnector {
	return config.RunningConnector{Name: v.name, File: v.config.File, Raw: v.config.Raw(), Config: v.config,
		Rejected: v.config.Problems.Err() != nil, HasFailed: v.state != Running ||
			slices.ContainsFunc(v.tasks, func(t taskView) bool { return t.state != Running })}
}

func (v *view) taskInfos() (infos []TaskInfo) {
	for _, t := range v.tasks {
		infos = append(infos, TaskInfo{TaskID{v.name, t.number}, t.run.unresolvedTaskConfig(v.config, t.settings)})
	}
	return infos
}

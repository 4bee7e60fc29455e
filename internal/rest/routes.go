package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/cluster/groupview"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/logging"
)

type (
	configuration map[string]string
	offsetsBody   struct {
		Offsets []partitionBody `json:"offsets"`
	}
	partitionBody struct {
		Partition map[string]any `json:"partition"`
		Offset    map[string]any `json:"offset"`
	}
	creationBody struct {
		Name         string        `json:"name"`
		Config       configuration `json:"config"`
		InitialState string        `json:"initial_state,omitempty"`
	}
	levelBody struct {
		Level string `json:"level"`
	}
	messageBody struct {
		Message string `json:"message"`
	}
	topicsBody map[string]struct {
		Topics []string `json:"topics"`
	}
)

// routes lists all routes; routes of one path are adjacent.
var routes = []route{
	{"GET", "/", local, (*request).root,
		"Version and commit of the worker, and the id of the Kafka cluster, which is empty until Kafka was reached.",
		operation{responseBody: Root{}, duringStart: true}},
	{"GET", "/health", local, (*request).health,
		"Liveness: 200 when running, 503 while starting (other routes wait for that), 500 if the worker does " +
			"not respond in time.",
		operation{responseBody: health{}, otherStatuses: []int{500, 503}, duringStart: true}},
	{"GET", "/connectors", fanOut, (*request).connectors,
		"Names of connectors; ?expand=status and ?expand=info add status and configuration, ?expand=motion the " +
			"progress, with ?own=true only of the tasks of this worker.",
		operation{query: []string{"expand", "own=boolean"}, responseBody: []string{}, otherStatuses: []int{409}}},
	{"POST", "/connectors", leader, (*request).create,
		"Creates a connector from {\"name\", \"config\", \"initial_state\"}; 201, or 409 if the name is in use.",
		operation{requestBody: creationBody{}, responseBody: connect.Info{}, status: http.StatusCreated,
			otherStatuses: []int{400, 413}}},
	{"GET", "/connectors/{name}", local, (*request).connector,
		"Name, configuration, tasks and type.",
		operation{responseBody: connect.Info{}, otherStatuses: []int{404, 409}}},
	{"DELETE", "/connectors/{name}", leader, (*request).remove,
		"Stops and deletes the connector; its offsets are kept.",
		operation{status: http.StatusNoContent, otherStatuses: []int{404}}},
	{"GET", "/connectors/{name}/config", local, (*request).config,
		"The configuration as it was submitted; with Accept: text/x-java-properties as the text of its " +
			"properties file with comments and masked passwords. ETag is its version, unless it has a file.",
		operation{responseBody: configuration{}, allowsText: true, otherStatuses: []int{404, 409}}},
	{"PUT", "/connectors/{name}/config", leader, (*request).putConfig,
		"Creates the connector (201) or changes it (200), also from properties text (Content-Type: " +
			"text/x-java-properties); 409 if it has a file. If-Match expects the ETag of an earlier response, " +
			"If-None-Match: * only creates; 412 if another version is stored.",
		operation{requestBody: configuration{}, responseBody: connect.Info{}, allowsText: true,
			otherStatuses: []int{201, 400, 412, 413}}},
	{"PATCH", "/connectors/{name}/config", leader, (*request).patchConfig,
		"Changes single settings; null removes a setting.",
		operation{requestBody: configuration{}, responseBody: connect.Info{}, otherStatuses: []int{400, 404, 413}}},
	{"GET", "/connectors/{name}/status", local, (*request).status,
		"States of the connector and its tasks, with the trace of what failed.",
		operation{responseBody: connect.Status{}, otherStatuses: []int{404, 409}}},
	{"GET", "/connectors/{name}/tasks", local, (*request).tasks,
		"The tasks with their configurations.",
		operation{responseBody: []connect.TaskInfo{}, otherStatuses: []int{404, 409}}},
	// Only calls between workers of Kafka Connect use this one, but OPTIONS lists it.
	{method: "POST", path: "/connectors/{name}/tasks"},
	{"GET", "/connectors/{name}/tasks/{task}/status", local, (*request).taskStatus,
		"State of one task.", operation{responseBody: connect.TaskStatus{}, otherStatuses: []int{404, 409}}},
	{"PUT", "/connectors/{name}/pause", local, (*request).pause,
		"Pauses the tasks; they keep their resources.",
		operation{event: "paused", status: http.StatusAccepted, otherStatuses: []int{404}}},
	{"PUT", "/connectors/{name}/resume", local, (*request).resume,
		"Resumes a PAUSED or STOPPED connector.",
		operation{event: "resumed", status: http.StatusAccepted, otherStatuses: []int{404}}},
	{"PUT", "/connectors/{name}/stop", leader, (*request).stop,
		"Stops the tasks and keeps the connector.",
		operation{event: "stopped", status: http.StatusNoContent, otherStatuses: []int{404}}},
	{"POST", "/connectors/{name}/restart", restartTarget, (*request).restart,
		"Restarts the connector, with ?includeTasks=true its tasks, with ?onlyFailed=true those that failed.",
		operation{event: "restarted", query: []string{"includeTasks=boolean", "onlyFailed=boolean"},
			responseBody: connect.Status{}, status: http.StatusAccepted, otherStatuses: []int{204, 404}}},
	{"POST", "/connectors/{name}/tasks/{task}/restart", owner, (*request).restartTask,
		"Restarts one task; the others keep running.",
		operation{event: "restarted", status: http.StatusNoContent, otherStatuses: []int{404}}},
	{"GET", "/connectors/{name}/offsets", local, (*request).offsets,
		"How far a source has read, or a sink has written.",
		operation{responseBody: offsetsBody{}, otherStatuses: []int{404}}},
	{"PATCH", "/connectors/{name}/offsets", leader, (*request).alterOffsets,
		"Sets offsets of a STOPPED connector; null removes an offset.",
		operation{event: "offsets changed", requestBody: offsetsBody{}, responseBody: messageBody{},
			otherStatuses: []int{400, 404}}},
	{"DELETE", "/connectors/{name}/offsets", leader, (*request).resetOffsets,
		"Deletes all offsets of a STOPPED connector.",
		operation{event: "offsets reset", responseBody: messageBody{}, otherStatuses: []int{400, 404}}},
	{"GET", "/connectors/{name}/topics", local, (*request).topics,
		"Topics that the connector has used since it was created, or since the last reset.",
		operation{responseBody: topicsBody{}, otherStatuses: []int{403, 404, 409}}},
	{"PUT", "/connectors/{name}/topics/reset", local, (*request).resetTopics,
		"Clears the list of used topics.", operation{status: http.StatusAccepted, otherStatuses: []int{403, 404}}},
	{"GET", "/admin/loggers", local, (*request).loggers,
		"Loggers that have their own level.", operation{responseBody: map[string]logging.Level{}}},
	{"GET", "/admin/loggers/{name}", local, (*request).logger,
		"The level of a logger.", operation{responseBody: logging.Level{}, otherStatuses: []int{404}}},
	{"PUT", "/admin/loggers/{name}", local, (*request).setLogger,
		"Sets a level, for the logger and all below it; ?scope=cluster is the same, with 204.",
		operation{query: []string{"scope"}, requestBody: levelBody{}, responseBody: []string{},
			otherStatuses: []int{204, 400, 404}}},
	{"GET", "/culvert/reload", leader, (*request).reload,
		"The result of the last scan of the connector folder.",
		operation{responseBody: Reload{}, otherStatuses: []int{404}}},
	{"POST", "/culvert/reload", leader, (*request).rescan,
		"Rescans the connector folder, even if nothing has changed.",
		operation{status: http.StatusAccepted, otherStatuses: []int{404}}},
	{"POST", "/culvert/diff", leader, (*request).diff,
		"Shows the effect of storing a configuration, {\"name\", \"config\"} or {\"name\", \"text\"} as properties: " +
			"nothing, in place, restart, create or refuse, with the differences, the feeds whose offsets would no " +
			"longer be valid, and why it cannot be stored. Nothing is changed.",
		operation{requestBody: DiffRequest{}, responseBody: Comparison{}, readOnly: true,
			otherStatuses: []int{400, 405, 413}}},
	{"GET", "/culvert/plugins", local, (*request).modules,
		"Versions of plugins with the connectors that use them, also for transforms and predicates: active ones, " +
			"ones that only older connectors still run, and rejected ones with the reason.",
		operation{responseBody: []Module{}}},
	{"PUT", "/culvert/plugins/{name}/rollback", leader, (*request).rollBack,
		"Switches connectors to the previous version of a plugin, until a new file of the plugin is loaded. In a " +
			"group all workers switch to the group's previous version.",
		operation{status: http.StatusNoContent, otherStatuses: []int{404, 405}}},
	{"PUT", "/culvert/plugins/{name}/swap", leader, (*request).swap,
		"Switches connectors to one version of a plugin, {\"hash\": …} as GET /culvert/plugins shows it, until " +
			"a new file of the plugin is loaded. In a group, workers without this version run no tasks with the " +
			"plugin.",
		operation{requestBody: choice{}, status: http.StatusNoContent, otherStatuses: []int{404, 405}}},
	{"GET", "/culvert/lockouts", local, (*request).lockouts,
		"Logons that a service has refused, since when, and what to do; they are not sent again.",
		operation{responseBody: Lockouts{}, otherStatuses: []int{409}}},
	{"GET", "/culvert/origins", fanOut, (*request).origins,
		"Use of services by origin and worker, compared with the current limits: requests, connections, sessions, " +
			"waiting requests, maintenance windows and refused logons; with ?own=true only of this worker.",
		operation{query: []string{"own=boolean"}, responseBody: Origins{}}},
	{"PUT", "/culvert/lockouts/resume", leader, (*request).resumeLogons,
		"Allows refused logons to be tried again, for all programs of this user; {\"resumed\": N}. Tasks continue " +
			"automatically.",
		operation{responseBody: resumeResult{}, otherStatuses: []int{405}}},
	{"GET", "/culvert/cluster", leader, (*request).groupOverview,
		"The group of workers: its members with their plugins and assignments, those that were lost or have left and " +
			"when their tasks move, and what is assigned to no worker, with the reason. 404 if the worker is in no " +
			"group.",
		operation{responseBody: groupview.Group{}, otherStatuses: []int{404}}},
	{"PUT", "/culvert/drain", local, (*request).drain,
		"Moves everything that this worker runs to the other workers of its group, before it is stopped; it " +
			"receives no new assignment. 204 when done, 409 without other workers, 404 if the worker is in no " +
			"group. GET /culvert/cluster names what no other worker can run.",
		operation{status: http.StatusNoContent, otherStatuses: []int{404, 409, 500}}},
	{"GET", "/culvert/history", fanOut, (*request).history,
		"What all connectors together did, as in GET /culvert/connectors/{name}/history; of latencies the greatest.",
		operation{query: []string{"range", "own=boolean"}, responseBody: history.History{}, otherStatuses: []int{400}}},
	{"GET", "/culvert/workers", fanOut, (*request).workers,
		"The workers of the group, or this one: version, start, number of tasks, bytes of memory, plugins, and when " +
			"a worker last answered; a worker that does not answer, was lost or has left has an error, and null for " +
			"what is unknown.",
		operation{query: []string{"own=boolean"}, responseBody: []WorkerInfo{}}},
	{"GET", "/culvert/connectors", fanOut, (*request).listConnectors,
		"Connectors, each with its state, the cause, a remedy, and what it has read and written; null means unknown. " +
			"?name=, ?state= and ?search= (in name, class, cause, sets and topics) filter, ?sort= is urgency (the " +
			"default), name, rows, lag, letters or activity, ?limit= (default 100, at most 1000) and ?after= select " +
			"a page; 304 if If-None-Match has the ETag; with ?own=true only what this worker runs.",
		operation{query: []string{"name", "state", "search", "sort", "after", "limit", "own=boolean"},
			responseBody: ConnectorList{}, otherStatuses: []int{304, 400}}},
	{"GET", "/culvert/connectors/{name}", fanOut, (*request).connectorProgress,
		"Progress of a connector, by task and feed: rows, pages, lag, when it had last read everything, the last " +
			"request and error, the next run; with ?own=true only the tasks of this worker. A task whose worker does " +
			"not respond has an error instead of figures.",
		operation{query: []string{"own=boolean"}, responseBody: connect.Metrics{}, otherStatuses: []int{404}}},
	{"GET", "/culvert/connectors/{name}/flow", fanOut, (*request).flow,
		"How the tasks of a connector spent the last minute, by stage, with rows and bytes per second; with " +
			"?own=true only the tasks of this worker.",
		operation{query: []string{"own=boolean"}, responseBody: Flow{}, otherStatuses: []int{404}}},
	{"GET", "/culvert/connectors/{name}/history", fanOut, (*request).history,
		"What the connector did in the last ?range=, 1h (the default) or 15m in steps of 10 seconds, 24h in steps of " +
			"5 minutes, the oldest first: delivered rows, half of the requests and 95 % of them within p50 and p95 " +
			"milliseconds, errors, refused records, lag; null means unknown. With ?own=true only the tasks of this " +
			"worker.",
		operation{query: []string{"range", "own=boolean"}, responseBody: history.History{},
			otherStatuses: []int{400, 404}}},
	{"GET", "/culvert/connectors/{name}/events", fanOut, (*request).events,
		"What happened to a connector since the start of its workers, the newest of up to 100 events first: who " +
			"created, changed, paused, resumed, stopped or restarted it, why it failed, which worker got it, which " +
			"plugins were swapped, how many dead letters were settled; with ?own=true only events of this worker. A " +
			"deleted connector keeps its events.",
		operation{query: []string{"own=boolean"}, responseBody: ConnectorEvents{}, otherStatuses: []int{404}}},
	{"PUT", "/culvert/connectors/{name}/retire", owner, (*request).retire,
		"Ends the subscriptions and ODP delta queues that a STOPPED source has opened at its service; " +
			"{\"ended\": …}.",
		operation{event: "retired", responseBody: retireResult{}, otherStatuses: []int{400, 404, 405}}},
	{"POST", "/culvert/connectors/{name}/feeds/{feed}/snapshot", fanOut, (*request).snapshot,
		"Reads a feed in full, in addition to continuing from its offset, once the current read is complete; " +
			"{\"snapshot\": …}, which rows of delta mode have in a header.",
		operation{event: "snapshot requested", responseBody: snapshotResult{}, status: http.StatusAccepted,
			otherStatuses: []int{404, 405}}},
	{"GET", "/culvert/connectors/{name}/deadletters", owner, (*request).listDeadLetters,
		"Dead letters of the connector, the newest first, one entry for each original record or row with the number " +
			"of attempts: open ones, or with ?show=settled those that were delivered or discarded, with ?show=all " +
			"both. ?cause= (an id), ?error=, ?since=, ?until= and ?superseded= select as in a replay. ?after= " +
			"selects the next page; a page has at most 100 entries and 2 MiB, and ?letter=0@17 has one entry with " +
			"more of its record and headers. A row of a source that is refused again with the same key and value is " +
			"one entry. open, causes and superseded count the open ones; replay is how far a running replay or " +
			"discard is. Messages, headers and records are for users who may see values of samples (console.records).",
		operation{query: []string{"show", "cause", "error", "since", "until", "superseded=boolean", "after", "letter"},
			responseBody:  DeadLetterList{},
			otherStatuses: []int{400, 403, 404}}},
	{"POST", "/culvert/connectors/{name}/deadletters/replay", owner, (*request).replay,
		"Sends the connector's open dead letters again, or with {\"again\": true} settled ones too. letters, cause " +
			"(an id), error (a part of the message), since, until (times of failure) and superseded (a newer letter " +
			"has the same key and another value) select some. delivered counts those that the service has accepted, " +
			"refusals has the reasons of the first 100 that it refused. It ends after 4 minutes; another call " +
			"continues after it. {\"dry\": true} reports what would pass, and sends, stores and registers nothing.",
		operation{requestBody: ReplayRequest{}, responseBody: ReplayResult{}, timeout: replayTimeout,
			otherStatuses: []int{400, 403, 404, 405}}},
	{"POST", "/culvert/connectors/{name}/deadletters/{letter}/retry", owner, (*request).retryDeadLetter,
		"Sends one dead letter, such as 0@17, again under the rules of a replay, with {\"value\": …} in place of its " +
			"value, for users who may see values of samples; a JSON object or array is replaced by one, or " +
			"null. If an earlier attempt may have written it, this is checked first. {\"older\": true} sends it " +
			"although its key has a later record. letter is the dead letter that it became if it was refused again.",
		operation{requestBody: RetryRequest{}, responseBody: ReplayResult{}, timeout: replayTimeout,
			otherStatuses: []int{400, 403, 404, 405}}},
	{"POST", "/culvert/connectors/{name}/deadletters/discard", owner, (*request).discardDeadLetters,
		"Marks the originals of open dead letters as settled, without sending them, within 4 minutes: those that " +
			"letters, cause, error, since, until or superseded select, as in a replay, or {\"all\": true}.",
		operation{requestBody: DeadLetterSelection{}, responseBody: DiscardResult{}, timeout: replayTimeout,
			otherStatuses: []int{400, 404, 405}}},
	{"GET", "/culvert/log", namedWorker, (*request).log,
		"The last lines of the worker's log, of up to 10,000 lines or 4 MiB in memory: ?limit= (default 200, at " +
			"most 1000), the last ones or those after ?after=, of at least ?level=, of ?logger= and all below it, " +
			"of ?connector=. In a group ?worker= selects a worker by its id as GET /culvert/cluster shows it. 403 " +
			"if the Host could be that of a web page.",
		operation{query: []string{"after", "limit", "level", "logger", "connector", "worker"}, responseBody: LogPage{},
			otherStatuses: []int{400, 403}}},
	{"POST", "/culvert/connectors/{name}/samples", firstTaskOwner, (*request).startSample,
		"Keeps the next rows of the connector's tasks on the worker of its first task for ten minutes, as they are " +
			"before its transforms, {\"rows\": 20, \"show\": \"full\"}; show=shape shows types instead of values, " +
			"which console.records or a missing logon may enforce.",
		operation{requestBody: SampleRequest{}, responseBody: Sample{}, status: http.StatusAccepted, readOnly: true,
			otherStatuses: []int{400, 403, 404, 409}}},
	{"GET", "/culvert/connectors/{name}/samples", firstTaskOwner, (*request).listSamples,
		"The samples that are kept, the newest first, without steps and rows.",
		operation{responseBody: []Sample{}, otherStatuses: []int{403}}},
	{"GET", "/culvert/connectors/{name}/samples/{id}", firstTaskOwner, (*request).readSample,
		"The rows of a sample so far, with the result of each transform, computed apart from the tasks; ?as=test " +
			"returns a YAML file for culvert test.",
		operation{query: []string{"as"}, responseBody: Sample{}, otherStatuses: []int{400, 403, 404, 409}}},
	{"POST", "/culvert/connectors/{name}/samples/{id}/chain", firstTaskOwner, (*request).tryChain,
		"The rows of a sample with the results of other transforms, {\"config\": {…}}; only settings of transforms " +
			"and predicates count. ?as=test as above.",
		operation{query: []string{"as"}, requestBody: chainRequest{}, responseBody: Sample{}, readOnly: true,
			otherStatuses: []int{400, 403, 404, 409}}},
	{"GET", "/culvert/connectors/{name}/tools", local, (*request).tools,
		"Commands of the connector's plugin that only read, with their options.",
		operation{responseBody: []Tool{}, otherStatuses: []int{404, 409}}},
	{"POST", "/culvert/connectors/{name}/tools/{command}", firstTaskOwner, (*request).tool,
		"Runs a command of the connector's plugin with the connector's settings and destination, {\"options\": " +
			"{…}}, for at most 3 seconds; 409 if it does more than read.",
		operation{requestBody: ToolRequest{}, responseBody: ToolAnswer{},
			otherStatuses: []int{400, 403, 404, 409, 502, 504}}},
	{"POST", "/culvert/peek", local, (*request).peek,
		"Runs the command peek of the plugin of a configuration that need not be stored, {\"config\": {…}, " +
			"\"options\": {…}}, for at most 3 seconds. A stored secret is sent only where the stored configuration " +
			"sends it.",
		operation{requestBody: peekRequest{}, responseBody: ToolAnswer{},
			otherStatuses: []int{400, 403, 404, 409, 502, 504}}},
	{"GET", "/culvert/openapi.json", local, (*request).openapi,
		"The OpenAPI document of all routes.", operation{responseBody: map[string]any{}}},
	{"GET", "/connector-plugins", local, (*request).plugins,
		"Connector classes; ?connectorsOnly=false also lists transforms, predicates and converters.",
		operation{query: []string{"connectorsOnly=boolean"}, responseBody: []connect.Plugin{}}},
	{"GET", "/connector-plugins/{name}/config", local, (*request).definitions,
		"The settings that a connector, transform, predicate or converter class declares; ?version= selects a " +
			"version.",
		operation{query: []string{"version"}, responseBody: []check.Definition{}, otherStatuses: []int{404}}},
	{"PUT", "/connector-plugins/{name}/config/validate", local, (*request).validate,
		"Checks a configuration and describes each of its settings; ?logon=check tries a secret that the " +
			"service has not accepted yet, and ?allowed=true adds the fixed set of values that some settings have.",
		operation{query: []string{"logon", "allowed=boolean"}, requestBody: configuration{}, responseBody: check.Validation{},
			readOnly: true, otherStatuses: []int{400, 404, 500}}},
	{"GET", "/metrics", local, (*request).metrics,
		"Metrics in the Prometheus format.", operation{mediaType: "text/plain"}},
}

// Route is a method at a path.
type Route struct{ Method, Path, Summary string }

// Routes returns all routes in the order of the table.
func Routes() (list []Route) {
	for _, r := range routes {
		if r.serve != nil {
			list = append(list, Route{r.method, r.path, r.summary})
		}
	}
	return list
}

// Summary returns the description of a route given as "METHOD /path/{name}". It panics if there is no such route.
func Summary(call string) string {
	i := slices.IndexFunc(routes, func(r route) bool { return r.method+" "+r.path == call })
	if i < 0 {
		panic("REST has no route " + call)
	}
	return routes[i].summary
}

// Target returns method and target for a route given as "METHOD /path/{name}?query". values replace the names in
// braces. It panics if there is no such route.
func Target(call string, values ...string) (method, target string) {
	method, target, _ = strings.Cut(call, " ")
	path, query, hasQuery := strings.Cut(target, "?")
	if !slices.ContainsFunc(routes, func(r route) bool { return r.method == method && r.path == path }) {
		panic("REST has no route " + call)
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if strings.HasPrefix(segment, "{") {
			segments[i] = url.PathEscape(values[0])
			values = values[1:]
		}
	}
	target = strings.Join(segments, "/")
	if hasQuery {
		target += "?" + query
	}
	return method, target
}

func isAdmin(path string) bool { return strings.HasPrefix(path, "/admin/") }

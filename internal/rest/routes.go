package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/connect"
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

// routes lists all routes; those of one path follow each other.
var routes = []route{
	{"GET", "/", local, (*request).root,
		"Version and commit of the worker, and the id of the Kafka cluster.",
		operation{responseBody: Root{}}},
	{"GET", "/health", local, (*request).health,
		"Liveness: 200 when running, 503 while starting (all other routes wait for that), 500 if the worker does " +
			"not respond in time.",
		operation{responseBody: health{}, otherStatuses: []int{500, 503}}},
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
	// Kafka Connect's workers alone answer this one; OPTIONS names it all the same.
	{method: "POST", path: "/connectors/{name}/tasks"},
	{"GET", "/connectors/{name}/tasks/{task}/status", local, (*request).taskStatus,
		"State of one task.",
		operation{responseBody: connect.TaskStatus{}, otherStatuses: []int{404, 409}}},
	{"PUT", "/connectors/{name}/pause", local, (*request).pause,
		"Pauses the tasks; they keep their resources.",
		operation{status: http.StatusAccepted, otherStatuses: []int{404}}},
	{"PUT", "/connectors/{name}/resume", local, (*request).resume,
		"Resumes a PAUSED or STOPPED connector.",
		operation{status: http.StatusAccepted, otherStatuses: []int{404}}},
	{"PUT", "/connectors/{name}/stop", leader, (*request).stop,
		"Stops the tasks and keeps the connector.",
		operation{status: http.StatusNoContent, otherStatuses: []int{404}}},
	{"POST", "/connectors/{name}/restart", restartTarget, (*request).restart,
		"Restarts the connector, with ?includeTasks=true its tasks, with ?onlyFailed=true those that " +
			"failed.",
		operation{query: []string{"includeTasks=boolean", "onlyFailed=boolean"}, responseBody: connect.Status{},
			status: http.StatusAccepted, otherStatuses: []int{204, 404}}},
	{"POST", "/connectors/{name}/tasks/{task}/restart", owner, (*request).restartTask,
		"Restarts one task; the others keep running.",
		operation{status: http.StatusNoContent, otherStatuses: []int{404}}},
	{"GET", "/connectors/{name}/offsets", local, (*request).offsets,
		"How far a source has read, or a sink has written.",
		operation{responseBody: offsetsBody{}, otherStatuses: []int{404}}},
	{"PATCH", "/connectors/{name}/offsets", leader, (*request).alterOffsets,
		"Sets offsets of a STOPPED connector; null removes an offset.",
		operation{requestBody: offsetsBody{}, responseBody: messageBody{}, otherStatuses: []int{400, 404}}},
	{"DELETE", "/connectors/{name}/offsets", leader, (*request).resetOffsets,
		"Deletes all offsets of a STOPPED connector.",
		operation{responseBody: messageBody{}, otherStatuses: []int{400, 404}}},
	{"GET", "/connectors/{name}/topics", local, (*request).topics,
		"Topics that the connector has used since it was created, or since the last reset.",
		operation{responseBody: topicsBody{}, otherStatuses: []int{403, 404, 409}}},
	{"PUT", "/connectors/{name}/topics/reset", local, (*request).resetTopics,
		"Clears the list of used topics.",
		operation{status: http.StatusAccepted, otherStatuses: []int{403, 404}}},
	{"GET", "/admin/loggers", local, (*request).loggers,
		"Loggers that have their own level.",
		operation{responseBody: map[string]logging.Level{}}},
	{"GET", "/admin/loggers/{name}", local, (*request).logger,
		"The level of a logger.",
		operation{responseBody: logging.Level{}, otherStatuses: []int{404}}},
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
		"Versions of plugins: active ones, ones that only older connectors still run, and rejected ones with the " +
			"reason.",
		operation{responseBody: []Module{}}},
	{"PUT", "/culvert/plugins/{name}/rollback", leader, (*request).rollBack,
		"Has connectors get the version before the present one of a plugin's file; until another file of " +
			"it comes. In a group all workers run the version that the group ran before.",
		operation{status: http.StatusNoContent, otherStatuses: []int{404, 405}}},
	{"PUT", "/culvert/plugins/{name}/swap", leader, (*request).swap,
		"Has connectors get one of a plugin's versions, {\"hash\": …} as GET /culvert/plugins shows it, " +
			"before newer ones; until another file of it comes. In a group all workers run it that have it, and the " +
			"others no tasks with the plugin.",
		operation{requestBody: choice{}, status: http.StatusNoContent, otherStatuses: []int{404, 405}}},
	{"GET", "/culvert/lockouts", local, (*request).lockouts,
		"Logons that a service has refused, since when, and what to do; they are not sent again.",
		operation{responseBody: Lockouts{}, otherStatuses: []int{409}}},
	{"GET", "/culvert/origins", fanOut, (*request).origins,
		"What connectors use of their services, by origin and worker, against the limits that hold at the moment: " +
			"requests, connections, sessions, what waits, maintenance windows, and refused logons; ?own=true: of " +
			"this worker alone.",
		operation{query: []string{"own=boolean"}, responseBody: Origins{}}},
	{"PUT", "/culvert/lockouts/resume", leader, (*request).resumeLogons,
		"Allows refused logons to be tried again, for all programs of this user; {\"resumed\": N}. Tasks continue " +
			"automatically.",
		operation{responseBody: resumeResult{}, otherStatuses: []int{405}}},
	{"GET", "/culvert/cluster", leader, (*request).groupOverview,
		"The group of workers: its members, with their plugins and how much they run, and what is given to no " +
			"worker, with the reason. 404 where the worker is alone.",
		operation{responseBody: Group{}, otherStatuses: []int{404}}},
	{"PUT", "/culvert/drain", local, (*request).drain,
		"Has the other workers of the group run what this one runs, before it is stopped: nothing more is given to " +
			"it. 204 when they have it, 409 where there are none, 404 where the worker is alone. What none of them " +
			"can run GET /culvert/cluster names.",
		operation{status: http.StatusNoContent, otherStatuses: []int{404, 409, 500}}},
	{"GET", "/culvert/connectors", fanOut, (*request).listConnectors,
		"Connectors with one word for the state of each, since when, by whose wish, why, and what is to be done: " +
			"those that need somebody first. ?state= and ?search= (in name, class and cause) choose, ?limit= (50, at " +
			"most 1000) and ?after= are for pages; 304 where If-None-Match has the ETag; ?own=true: what this worker " +
			"runs.",
		operation{query: []string{"state", "search", "after", "limit", "own=boolean"}, responseBody: ConnectorList{},
			otherStatuses: []int{304, 400}}},
	{"GET", "/culvert/connectors/{name}", fanOut, (*request).connectorProgress,
		"Progress of a connector, by task and feed: rows, pages, lag, when it had last read everything, the last " +
			"request and error, the next run; ?own=true: only the tasks of this worker. A task whose worker does " +
			"not respond has an error instead of figures.",
		operation{query: []string{"own=boolean"}, responseBody: connect.Metrics{}, otherStatuses: []int{404}}},
	{"GET", "/culvert/connectors/{name}/flow", fanOut, (*request).flow,
		"Where the time of a connector's tasks went in the last minute, by stage, with rows and bytes in a second; " +
			"?own=true: of the tasks of this worker alone.",
		operation{query: []string{"own=boolean"}, responseBody: Flow{}, otherStatuses: []int{404}}},
	{"PUT", "/culvert/connectors/{name}/retire", owner, (*request).retire,
		"Ends the subscriptions and ODP delta queues that a STOPPED source has opened at its service; " +
			"{\"ended\": …}.",
		operation{responseBody: retireResult{}, otherStatuses: []int{400, 404, 405}}},
	{"POST", "/culvert/connectors/{name}/feeds/{feed}/snapshot", fanOut, (*request).snapshot,
		"Reads a feed in full, in addition to continuing from its offset, once the current read is complete; " +
			"{\"snapshot\": …}, which rows of delta mode have in a header.",
		operation{responseBody: snapshotResult{}, status: http.StatusAccepted, otherStatuses: []int{404, 405}}},
	{"GET", "/culvert/connectors/{name}/deadletters", local, (*request).listDeadLetters,
		"Dead letters of the connector among the last 100 records of each partition of their topic " +
			"(?last=, at most 1000), and how many have which cause; ?error= in class or message of the exception.",
		operation{query: []string{"last", "error"}, responseBody: DeadLetterList{},
			otherStatuses: []int{400, 404, 409, 500}}},
	{"POST", "/culvert/connectors/{name}/deadletters/replay", owner, (*request).replay,
		"Sends the connector's dead letters once more, each of them once, or {\"again\": true}; " +
			"{\"letters\": [\"0@17\"]} and {\"error\": …} choose. It ends after 4 minutes, and another one goes on " +
			"after it. {\"dry\": true} says what would pass, and sends and stores nothing: the plugin is opened as " +
			"at a start, and a schema that a registry does not have is not registered.",
		operation{requestBody: ReplayRequest{}, responseBody: ReplayResult{}, timeout: replayTimeout,
			otherStatuses: []int{400, 404, 405}}},
	{"GET", "/culvert/log", namedWorker, (*request).log,
		"The last lines of the worker's log, of the 10,000 and 4 MiB that are in memory: ?limit= of them (200, at " +
			"most 1000), the last ones or those after ?after=, from ?level= on, of ?logger= and all below it, of " +
			"?connector=. In a group ?worker= has another worker answer, by its id as GET /culvert/cluster shows it. " +
			"403 where a page may have led a browser to the Host that is asked by.",
		operation{query: []string{"after", "limit", "level", "logger", "connector", "worker"}, responseBody: LogPage{},
			otherStatuses: []int{400, 403}}},
	{"POST", "/culvert/connectors/{name}/samples", firstTaskOwner, (*request).startSample,
		"Has the next rows of the connector's tasks on the worker of its first task kept for ten minutes, as " +
			"they come before its transforms, {\"rows\": 20, \"show\": \"full\"}; show=shape has types in the place " +
			"of values, as console.records or a missing logon ask for.",
		operation{requestBody: SampleRequest{}, responseBody: Sample{}, status: http.StatusAccepted, readOnly: true,
			otherStatuses: []int{400, 403, 404, 409}}},
	{"GET", "/culvert/connectors/{name}/samples/{id}", firstTaskOwner, (*request).readSample,
		"The rows that have come, with what each transform makes of them, computed again beside the tasks; " +
			"?as=test: as a file for culvert test, in YAML.",
		operation{query: []string{"as"}, responseBody: Sample{}, otherStatuses: []int{400, 403, 404, 409}}},
	{"POST", "/culvert/connectors/{name}/samples/{id}/chain", firstTaskOwner, (*request).tryChain,
		"The same rows with what the transforms of another configuration make of them, {\"config\": {…}}; " +
			"settings of other things than transforms and predicates do not count. ?as=test as above.",
		operation{query: []string{"as"}, requestBody: chainRequest{}, responseBody: Sample{}, readOnly: true,
			otherStatuses: []int{400, 403, 404, 409}}},
	{"GET", "/culvert/connectors/{name}/tools", local, (*request).tools,
		"Commands of the connector's plugin that only read, with their options.",
		operation{responseBody: []Tool{}, otherStatuses: []int{404, 409}}},
	{"POST", "/culvert/connectors/{name}/tools/{command}", firstTaskOwner, (*request).tool,
		"Runs such a command with the connector's settings and destination, {\"options\": {…}}, for 3 seconds at " +
			"most, if it only reads (409 otherwise).",
		operation{requestBody: ToolRequest{}, responseBody: ToolAnswer{},
			otherStatuses: []int{400, 403, 404, 409, 502, 504}}},
	{"GET", "/culvert/openapi.json", local, (*request).openapi,
		"The OpenAPI document of all routes.",
		operation{responseBody: map[string]any{}}},
	{"GET", "/connector-plugins", local, (*request).plugins,
		"Connector classes; ?connectorsOnly=false also lists transforms, predicates and converters.",
		operation{query: []string{"connectorsOnly=boolean"}, responseBody: []connect.Plugin{}}},
	{"GET", "/connector-plugins/{name}/config", local, (*request).definitions,
		"The settings that a connector, transform, predicate or converter class declares; ?version= selects a " +
			"version.",
		operation{query: []string{"version"}, responseBody: []check.Definition{}, otherStatuses: []int{404}}},
	{"PUT", "/connector-plugins/{name}/config/validate", local, (*request).validate,
		"Checks a configuration and describes each of its settings; ?logon=check tries a secret that the " +
			"service has not accepted yet.",
		operation{query: []string{"logon"}, requestBody: configuration{}, responseBody: check.Validation{},
			readOnly:      true,
			otherStatuses: []int{400, 404, 500}}},
	{"GET", "/metrics", local, (*request).metrics,
		"Metrics in the Prometheus format.",
		operation{mediaType: "text/plain"}},
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

// Summary returns the description of a route, which is given as "METHOD /path/{name}". It panics if the table has no
// such route.
func Summary(call string) string {
	i := slices.IndexFunc(routes, func(r route) bool { return r.method+" "+r.path == call })
	if i < 0 {
		panic("REST has no route " + call)
	}
	return routes[i].summary
}

// Target returns method and target of a call of a route, which is given as "METHOD /path/{name}?query". values replace
// the names in braces. It panics if the table has no such route.
func Target(call string, values ...string) (method, target string) {
	method, target, _ = strings.Cut(call, " ")
	path, query, asks := strings.Cut(target, "?")
	if !slices.ContainsFunc(routes, func(r route) bool { return r.method == method && r.path == path }) {
		panic("REST has no route " + call)
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if strings.HasPrefix(segment, "{") {
			segments[i], values = url.PathEscape(values[0]), values[1:]
		}
	}
	if target = strings.Join(segments, "/"); asks {
		target += "?" + query
	}
	return method, target
}

func isAdmin(path string) bool { return strings.HasPrefix(path, "/admin/") }

package rest

import "strings"

// Route is a path that REST answers, with one method.
type Route struct{ Method, Path, About string }

// about says in a sentence what each path is for, by method and path.
var about = map[string]string{
	"GET /":           "Version and commit of the worker, and the id of the Kafka cluster.",
	"GET /health":     "Whether the worker lives: 200, 503 while it starts, 500 where it does not answer in time.",
	"GET /connectors": "Names of connectors; ?expand=status and ?expand=info show them whole.",
	"POST /connectors": "Makes a connector of {\"name\", \"config\", \"initial_state\"}; 201, and 409 where there " +
		"is one of that name.",
	"GET /connectors/{name}":          "Name, configuration, tasks and type.",
	"DELETE /connectors/{name}":       "Stops the connector and takes it away; 204.",
	"GET /connectors/{name}/config":   "The configuration as it was given.",
	"PUT /connectors/{name}/config":   "Makes the connector (201) or changes it (200).",
	"PATCH /connectors/{name}/config": "Changes single settings; null takes one away.",
	"GET /connectors/{name}/status": "States of the connector and its tasks, with the trace of " +
		"what failed.",
	"GET /connectors/{name}/tasks":               "The tasks with their configurations.",
	"GET /connectors/{name}/tasks/{task}/status": "State of one task.",
	"PUT /connectors/{name}/pause":               "Pauses the tasks; they keep what they hold. 202.",
	"PUT /connectors/{name}/resume":              "Goes on, from PAUSED or STOPPED. 202.",
	"PUT /connectors/{name}/stop":                "Ends the tasks and keeps the connector. 204.",
	"POST /connectors/{name}/restart": "Restarts the connector, with ?includeTasks=true its tasks, " +
		"with ?onlyFailed=true those that failed.",
	"POST /connectors/{name}/tasks/{task}/restart": "Restarts one task; the others go on where they run. 204.",
	"GET /connectors/{name}/offsets":               "How far a source has read, or a sink has written.",
	"PATCH /connectors/{name}/offsets":             "Sets offsets of a connector that is STOPPED; null takes one away.",
	"DELETE /connectors/{name}/offsets":            "Takes away all offsets of a connector that is STOPPED.",
	"GET /connectors/{name}/topics": "Topics that the connector has used since it was made, " +
		"or since the last reset.",
	"PUT /connectors/{name}/topics/reset": "Forgets them.",
	"GET /admin/loggers":                  "Loggers with levels of their own.",
	"GET /admin/loggers/{name}":           "The level of one.",
	"PUT /admin/loggers/{name}": "Sets a level, for the logger and all below it; " +
		"?scope=cluster is the same, with 204.",
	"GET /culvert/reload": "What the last look at the folder of connectors came to.",
	"GET /connector-plugins": "Classes that connectors can have; ?connectorsOnly=false shows " +
		"transforms, predicates and converters, too.",
	"GET /connector-plugins/{name}/config": "What a class declares: a connector, transform, predicate or " +
		"converter; ?version= one of its versions.",
	"PUT /connector-plugins/{name}/config/validate": "Checks a configuration and describes each of its settings; " +
		"?logon=check tries a secret that the service has not taken yet.",
	"POST /culvert/reload": "Has the folder of connectors read again, changed or not. 202.",
	"GET /culvert/diff": "What a reload of the folder of connectors would do at the moment, by connector: create, " +
		"remove, in place, restart or refuse, with the names of the settings that differ and the problems. Empty: " +
		"nothing.",
	"GET /culvert/plugins": "Versions of plugins: those that connectors get, that old ones run still, and " +
		"those that are refused, with the reason.",
	"GET /culvert/connectors/{name}": "How far a connector is, by task and feed: rows, pages, what is before it, " +
		"when it had read all there was, the last request and the last fault, when it is read again.",
	"PUT /culvert/plugins/{name}/rollback": "Has connectors get the version before the present one of a plugin's " +
		"file; until another file of it comes. 204.",
	"PUT /culvert/plugins/{name}/swap": "Has connectors get one of a plugin's versions, {\"hash\": …} as GET " +
		"/culvert/plugins shows it, before newer ones; until another file of it comes. 204.",
	"GET /culvert/lockouts": "Logons that a service has refused, since when, and what is to be done; " +
		"they are not sent again.",
	"PUT /culvert/lockouts/resume": "Has refused logons tried once more, for all programs of this user; " +
		"{\"resumed\": N}. Tasks go on by themselves.",
	"PUT /culvert/connectors/{name}/retire": "Ends what a source that is STOPPED has opened at its service: " +
		"subscriptions, and queues of changes of ODP; {\"ended\": …}.",
	"POST /culvert/connectors/{name}/feeds/{feed}/snapshot": "Has a feed read whole, beside going on from its " +
		"offset, as soon as what it is reading is read; {\"snapshot\": …}, which rows of delta mode have in a " +
		"header. 202.",
	"GET /culvert/connectors/{name}/deadletters": "Dead letters of the connector among the last 100 records of each " +
		"partition of their topic (?last=, at most 1000); ?error= in class or message of the exception.",
	"POST /culvert/connectors/{name}/deadletters/replay": "Sends the connector's dead letters once more, each of " +
		"them once, or {\"again\": true}; {\"error\": …} chooses. It ends after 4 minutes, and another one goes on " +
		"after it.",
	"GET /culvert/openapi.json": "All of these as an OpenAPI document.",
	"GET /metrics":              "Figures in the format of Prometheus.",
}

// Routes are all that REST answers, in the order of its table. About is empty where nothing is said of one.
func Routes() (list []Route) {
	for _, rs := range resources {
		if rs.path == "/" {
			continue // what stands nowhere else, which is answered with 404
		}
		for _, m := range []struct {
			name string
			by   func(*exchange)
		}{{"GET", rs.get}, {"POST", rs.post}, {"PUT", rs.put}, {"PATCH", rs.patch}, {"DELETE", rs.remove}} {
			if m.by == nil {
				continue
			}
			path := strings.TrimSuffix(rs.path, "{$}")
			list = append(list, Route{m.name, path, about[m.name+" "+path]})
		}
	}
	return list
}

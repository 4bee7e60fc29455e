package sink

import (
	"fmt"
	"strconv"
	"strings"
)

// The settings by which an operator decides about records in doubt.
const sendSetting, skipSetting = "errors.uncertain.send", "errors.uncertain.skip"

// inDoubtError adds to an error which records are in doubt and how the operator can decide about them.
type inDoubtError struct {
	error
	names  []string // of the records in doubt
	resent []string // the names whose decision to send was used up
}

func (e *inDoubtError) Unwrap() error { return e.error }

func (e *inDoubtError) Error() string {
	them := "it"
	names := strings.Join(e.names, ",")
	if len(e.names) > 1 {
		them = "them"
	}
	message := fmt.Sprintf("%v; check whether the service has %s, then set %s=%s to send %s again, or "+
		"%s=%s to skip %s", e.error, them, sendSetting, names, them, skipSetting, names, them)
	if len(e.resent) > 0 {
		message += fmt.Sprintf("; a name in %s counts once, and was used up for %s: repeat the name there to send the "+
			"record once more", sendSetting, strings.Join(e.resent, ","))
	}
	return message
}

// decisions are records that a setting names as TOPIC-PARTITION@OFFSET or TOPIC-PARTITION@FIRST-LAST.
type decisions map[topicPartition][]offsetRange

func parseDecisions(setting string, names []string) (d decisions, err error) {
	d = decisions{}
	for _, name := range names {
		tp, offsets, ok := parseDecision(name)
		switch {
		case name == "": // an empty setting is a list of one empty name
		case !ok:
			return d, fmt.Errorf("%s: expected TOPIC-PARTITION@OFFSET, as orders-0@17, found %q", setting, name)
		default:
			d[tp] = append(d[tp], offsets)
		}
	}
	return d, nil
}

func parseDecision(name string) (tp topicPartition, offsets offsetRange, ok bool) {
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return tp, offsets, false
	}
	dash := strings.LastIndexByte(name[:at], '-')
	if dash <= 0 {
		return tp, offsets, false
	}
	partition, err := strconv.ParseInt(name[dash+1:at], 10, 32)
	offsets, inOrder := parseOffsetRange(name[at+1:])
	return topicPartition{name[:dash], int32(partition)}, offsets, inOrder && err == nil && partition >= 0
}

// names returns the decisions about a partition from an offset on, as assignments to the setting.
func (d decisions) names(setting string, tp topicPartition, from int64) (assignments []string) {
	for _, offsets := range d[tp] {
		if offsets.last >= from {
			assignments = append(assignments, fmt.Sprintf("%s=%s-%d@%v", setting, tp.topic, tp.partition, offsets))
		}
	}
	return assignments
}

// count returns how often the setting names a record.
func (d decisions) count(id recordID) int {
	n := 0
	for _, offsets := range d[id.topicPartition()] {
		if offsets.first <= id.offset && id.offset <= offsets.last {
			n++
		}
	}
	return n
}

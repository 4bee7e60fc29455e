// Package record holds a row on its way through the stages ([Record]): topic, key, value and headers ([Part]).
package record

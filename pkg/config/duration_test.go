package config_test

import (
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "1d1h1m1s1ms": 25*time.Hour + time.Minute + time.Second + time.Millisecond,
		"0d": 0, "0": 0, "90": 90 * time.Second, "1.5": 1500 * time.Millisecond, "1h": time.Hour, "3650d": 87600 * time.Hour,
	} {
		if got := time.Duration(load(t, plainURL, "IMAGES_PUSHED_WITHIN="+text).ImagesPushedWithin); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if got := load(t, plainURL).ImagesPulledWithin; got != 0 {
		t.Errorf("by default %v", got)
	}
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 2 * time.Minute, "rate(1 minute)": time.Minute, "rate(2 minutes)": 2 * time.Minute, "rate(90 minutes)": 90 * time.Minute,
		"rate(1 hour)": time.Hour, "rate(9999 hours)": 9999 * time.Hour, "rate(1 day)": 24 * time.Hour, "rate(7 days)": 168 * time.Hour,
		"90": 90 * time.Second, "5m": 5 * time.Minute, "1d": 24 * time.Hour,
	} {
		got := load(t, plainURL, "SCHEDULE="+text).Schedule
		if got.Interval() != want || got.String() != want.String() {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

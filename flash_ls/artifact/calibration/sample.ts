import { randomUUID } from "crypto";
import { readFile, writeFile } from "fs/promises";

export type Weekday = "mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun";

export interface TimeSlot {
  readonly start: number; // minutes since midnight
  readonly end: number;
}

export interface Appointment extends TimeSlot {
  id: string;
  patientName: string;
  day: Weekday;
  status: AppointmentStatus;
  notes?: string[];
}

export enum AppointmentStatus {
  Pending = "PENDING",
  Confirmed = "CONFIRMED",
  Cancelled = "CANCELLED",
}

export type Result<T, E = Error> =
  | { ok: true; value: T }
  | { ok: false; error: E };

type BookingError =
  | { kind: "overlap"; with: Appointment }
  | { kind: "closed"; day: Weekday }
  | { kind: "invalid-time"; input: string };

const OPENING_HOURS: Partial<Record<Weekday, TimeSlot[]>> = {
  mon: [{ start: 9 * 60, end: 12 * 60 }, { start: 13 * 60, end: 18 * 60 }],
  tue: [{ start: 9 * 60, end: 17 * 60 }],
  thu: [{ start: 10 * 60, end: 19 * 60 }],
  fri: [{ start: 8 * 60 + 30, end: 12 * 60 }],
};

const TIME_RE = /^([01]?\d|2[0-3]):([0-5]\d)$/;

export function parseTime(input: string): number | undefined {
  const match = TIME_RE.exec(input.trim());
  if (!match) return undefined;
  const [, hours, minutes] = match;
  return parseInt(hours, 10) * 60 + Number(minutes);
}

export const formatTime = (total: number): string =>
  `${String(Math.floor(total / 60)).padStart(2, "0")}:${String(total % 60).padStart(2, "0")}`;

const overlaps = (a: TimeSlot, b: TimeSlot): boolean => a.start < b.end && b.start < a.end;

/** Least-recently-used cache; a Map keeps keys in insertion order. */
export class LruCache<K, V> {
  private readonly entries = new Map<K, V>();

  constructor(private readonly capacity: number) {
    if (capacity < 1) throw new RangeError("capacity must be at least 1");
  }

  get(key: K): V | undefined {
    const value = this.entries.get(key);
    if (value !== undefined) {
      this.entries.delete(key);
      this.entries.set(key, value);
    }
    return value;
  }

  set(key: K, value: V): void {
    this.entries.delete(key);
    if (this.entries.size >= this.capacity) {
      const oldest = this.entries.keys().next().value as K;
      this.entries.delete(oldest);
    }
    this.entries.set(key, value);
  }

  clear(): void {
    this.entries.clear();
  }
}

export class Calendar {
  private appointments: Appointment[] = [];
  private freeSlotCache = new LruCache<string, TimeSlot[]>(32);

  static async load(filename: string): Promise<Calendar> {
    const calendar = new Calendar();
    try {
      const raw = JSON.parse(await readFile(filename, "utf-8")) as unknown;
      if (!Array.isArray(raw)) throw new TypeError(`${filename}: expected an array`);
      calendar.appointments = raw.filter(isAppointment);
    } catch (err) {
      if ((err as { code?: string }).code !== "ENOENT") throw err;
    }
    return calendar;
  }

  async save(filename: string): Promise<void> {
    await writeFile(filename, JSON.stringify(this.appointments, null, 2));
  }

  book(
    day: Weekday,
    from: string,
    duration: number,
    patientName: string,
  ): Result<Appointment, BookingError> {
    const start = parseTime(from);
    if (start === undefined || duration <= 0) {
      return { ok: false, error: { kind: "invalid-time", input: from } };
    }
    const slot = { start, end: start + duration };
    const isOpen = OPENING_HOURS[day]?.some((h) => h.start <= slot.start && slot.end <= h.end);
    if (!isOpen) return { ok: false, error: { kind: "closed", day } };

    const clash = this.on(day).find((other) => overlaps(other, slot));
    if (clash) return { ok: false, error: { kind: "overlap", with: clash } };

    const appointment: Appointment = {
      ...slot,
      id: randomUUID(),
      day,
      patientName,
      status: AppointmentStatus.Pending,
    };
    this.appointments.push(appointment);
    this.freeSlotCache.clear();
    return { ok: true, value: appointment };
  }

  on(day: Weekday): Appointment[] {
    return this.appointments
      .filter((a) => a.day === day && a.status !== AppointmentStatus.Cancelled)
      .sort((a, b) => a.start - b.start);
  }

  freeSlots(day: Weekday, minLength = 15): TimeSlot[] {
    const key = `${day}/${minLength}`;
    const cached = this.freeSlotCache.get(key);
    if (cached) return cached;

    const free: TimeSlot[] = [];
    for (const { start, end } of OPENING_HOURS[day] ?? []) {
      let cursor = start;
      for (const busy of this.on(day)) {
        if (busy.end <= start || busy.start >= end) continue;
        if (busy.start - cursor >= minLength) free.push({ start: cursor, end: busy.start });
        cursor = Math.max(cursor, busy.end);
      }
      if (end - cursor >= minLength) free.push({ start: cursor, end });
    }
    this.freeSlotCache.set(key, free);
    return free;
  }
}

function isAppointment(value: unknown): value is Appointment {
  const candidate = value as Partial<Appointment> | null;
  return typeof candidate?.id === "string" && typeof candidate.start === "number";
}

export function explain(error: BookingError): string {
  switch (error.kind) {
    case "overlap":
      return `Taken until ${formatTime(error.with.end)}`;
    case "closed":
      return `We are closed then (${error.day})`;
    case "invalid-time":
      return `Cannot read "${error.input}" as a time`;
  }
}

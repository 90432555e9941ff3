/**
 * Decodes the header blocks of one HTTP/2 client, one after the other. Pure. Source: RFC 7541 (HPACK).
 *
 * Time and memory are in proportion to the block: its fields share the strings of the table. The table holds at most
 * 4,096 bytes. A daemon that has allowed its clients a larger one makes their blocks malformed here.
 *
 * @module
 */
import { ByteReader, FormatError, parsed } from "./byte_reader.ts";
import { decodeHuffman } from "./hpack_huffman.ts";
import { type HeaderField, STATIC_TABLE } from "./hpack_static.ts";

/** What the strings of a table may take, with {@link ENTRY_BYTES} for each (section 4.2; SETTINGS_HEADER_TABLE_SIZE). */
const LARGEST_TABLE_BYTES = 4_096;

/** What an entry takes beside its strings (section 4.1). */
const ENTRY_BYTES = 32;

/** Numbers of more bytes after the first are none that a block of sensible size needs. */
const LONGEST_NUMBER_BYTES = 4;

/** A block has no more fields. Those of BuildKit's clients have 10 to 40. */
const MOST_FIELDS = 256;

/** Decodes all blocks of a connection, in the order in which they came: each may use what the ones before have sent. */
export class HpackDecoder {
  readonly #table = new DynamicTable();
  #failed = false;

  /** The fields of the next block; undefined if it is malformed. After that, every other block is, too. */
  decode(block: Uint8Array): readonly HeaderField[] | undefined {
    if (this.#failed) return undefined;
    const fields = parsed(() => this.#fields(new ByteReader(block)));
    this.#failed = fields === undefined;
    return fields;
  }

  /** What a field is shows in its first bits (section 6). */
  #fields(block: ByteReader): HeaderField[] {
    const fields: HeaderField[] = [];
    while (block.leftBytes > 0) {
      if (fields.length === MOST_FIELDS) throw new FormatError(`more than ${MOST_FIELDS} fields`);
      const first = block.number();
      if (first >= 0x80) fields.push(this.#known(numberOf(first, 7, block)));
      else if (first >= 0x40) {
        const field = this.#literal(first, 6, block);
        fields.push(field);
        this.#table.add(field);
      } else if (first < 0x20) fields.push(this.#literal(first, 4, block));
      else if (fields.length === 0) this.#table.resize(numberOf(first, 5, block));
      else throw new FormatError("a new size of the table after a field");
    }
    return fields;
  }

  #literal(first: number, prefixBits: number, block: ByteReader): HeaderField {
    const number = numberOf(first, prefixBits, block);
    const name = number === 0 ? textOf(block) : this.#known(number).name;
    return { name, value: textOf(block) };
  }

  /** A field by its number: those of the static table come first, then the dynamic ones, newest first (section 2.3.3). */
  #known(number: number): HeaderField {
    const field = STATIC_TABLE[number - 1] ?? this.#table.newest(number - STATIC_TABLE.length);
    if (field === undefined) throw new FormatError(`no field has the number ${number}`);
    return field;
  }
}

/** The fields that a client has sent to be known by number from then on (section 4). */
class DynamicTable {
  /** Oldest first. */
  readonly #fields: HeaderField[] = [];
  #sizeBytes = 0;
  #limitBytes = LARGEST_TABLE_BYTES;

  /** The newest is number 1. */
  newest(number: number): HeaderField | undefined {
    return this.#fields[this.#fields.length - number];
  }

  /** A field that is larger than the table leaves it empty. */
  add(field: HeaderField): void {
    this.#fields.push(field);
    this.#sizeBytes += sizeOf(field);
    this.#evict();
  }

  /** @throws FormatError if that is more than was allowed */
  resize(limitBytes: number): void {
    if (limitBytes > LARGEST_TABLE_BYTES) throw new FormatError(`a table of ${limitBytes} bytes`);
    this.#limitBytes = limitBytes;
    this.#evict();
  }

  #evict(): void {
    while (this.#sizeBytes > this.#limitBytes) this.#sizeBytes -= sizeOf(this.#fields.shift()!);
  }
}

function sizeOf({ name, value }: HeaderField): number {
  return name.length + value.length + ENTRY_BYTES;
}

/** A number that begins in the last bits of `first` (section 5.1). */
function numberOf(first: number, prefixBits: number, block: ByteReader): number {
  const most = (1 << prefixBits) - 1;
  let number = first & most;
  if (number < most) return number;
  for (let i = 0; i < LONGEST_NUMBER_BYTES; i++) {
    const byte = block.number();
    number += (byte & 0x7f) << 7 * i;
    if (byte < 0x80) return number;
  }
  throw new FormatError(`a number of more than ${LONGEST_NUMBER_BYTES} bytes`);
}

/** A character for each byte, as the sizes need it. */
const decoder = new TextDecoder("latin1");

/** Up to this length the decoder takes longer than to put the characters together here. */
const SHORT_TEXT_BYTES = 16;

function latin1(bytes: Uint8Array): string {
  if (bytes.byteLength > SHORT_TEXT_BYTES) return decoder.decode(bytes);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** A string, with Huffman coding or without (section 5.2). */
function textOf(block: ByteReader): string {
  const first = block.number();
  const bytes = block.take(numberOf(first, 7, block));
  return latin1(first >= 0x80 ? decodeHuffman(bytes) : bytes);
}

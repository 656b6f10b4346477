"""Synthetic DICOM studies of patients who do not exist, and the catalogue of what the PACS holds."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

UID_ROOT = "1.2.826.0.1.3680043.8.498"
KEEP = 40


@dataclass(frozen=True)
class ModalityKind:
    """What one kind of scanner makes: SOP class, matrix size and images in a study."""

    sop_class: str
    size: int
    images: int


KINDS = {
    "CT": ModalityKind("1.2.840.10008.5.1.4.1.1.2", 48, 3),
    "MR": ModalityKind("1.2.840.10008.5.1.4.1.1.4", 44, 4),
    "US": ModalityKind("1.2.840.10008.5.1.4.1.1.6.1", 56, 2),
}


@dataclass(frozen=True)
class Study:
    """One synthetic study and the files of its images."""

    patient_name: str
    patient_id: str
    date: str
    modality: str
    uid: str
    sop_uids: tuple[str, ...]
    folder: Path

    @property
    def orthanc_id(self) -> str:
        """Orthanc's own id of the study: SHA-1 of patient id and study UID, in five groups."""
        return _orthanc_hash(self.patient_id, self.uid)

    def orthanc_instance(self, index: int) -> str:
        """Orthanc's own id of one image."""
        return _orthanc_hash(self.patient_id, self.uid, f"{self.uid}.1", self.sop_uids[index])

    @property
    def hash(self) -> str:
        """The pseudonym that AI clients send in X-Study-Hash."""
        return hashlib.sha256(f"morning|{self.uid}".encode()).hexdigest()[:16]


def _orthanc_hash(*parts: str) -> str:
    digest = hashlib.sha1("|".join(parts).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[i : i + 8] for i in range(0, 40, 8))


def make_study(number: int, modality: str, rng: Random, folder: Path) -> Study:
    """Write the images of one study of TEST^PATIENT<number>."""
    kind = KINDS[modality]
    uid = f"{UID_ROOT}.{number}.{rng.randrange(10**9)}"
    date = f"2026{rng.randint(1, 6):02d}{rng.randint(1, 28):02d}"
    sop_uids = tuple(f"{uid}.1.{index + 1}" for index in range(kind.images))
    home = folder / f"study{number:04d}"
    home.mkdir(parents=True)
    study = Study(f"TEST^PATIENT{number:04d}", f"T{number:06d}", date, modality, uid, sop_uids, home)
    for index in range(kind.images):
        _write_image(study, index, kind, rng)
    return study


def _write_image(study: Study, index: int, kind: ModalityKind, rng: Random) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(kind.sop_class)
    meta.MediaStorageSOPInstanceUID = UID(study.sop_uids[index])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = kind.sop_class, study.sop_uids[index]
    data.PatientName, data.PatientID = study.patient_name, study.patient_id
    data.PatientBirthDate, data.PatientSex = "19700101", "O"
    data.StudyInstanceUID, data.SeriesInstanceUID = study.uid, f"{study.uid}.1"
    data.StudyDate, data.StudyTime = study.date, "090000"
    data.AccessionNumber, data.StudyID = f"A{study.patient_id[1:]}", "1"
    data.Modality, data.StudyDescription = study.modality, f"SYNTHETIC {study.modality}"
    data.SeriesNumber, data.InstanceNumber = 1, index + 1
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows = data.Columns = kind.size
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = _phantom(kind.size, rng).tobytes()
    data.save_as(study.folder / f"image{index + 1}.dcm", enforce_file_format=True)


def _phantom(size: int, rng: Random) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    """Draw a noisy disc: tissue to a viewer, and nothing to anybody else."""
    y, x = np.mgrid[0:size, 0:size]
    radius = size * rng.uniform(0.25, 0.45)
    disc = ((x - size / 2) ** 2 + (y - size / 2) ** 2 < radius**2) * rng.randint(800, 1600)
    noise = np.random.default_rng(rng.randrange(2**32)).normal(300, 60, (size, size))
    image: np.ndarray[tuple[int, int], np.dtype[np.uint16]] = np.clip(disc + noise, 0, 4095).astype(np.uint16)
    return image


class Catalogue:
    """The studies that are in the PACS: a sliding window, so that the choice among them stays stationary."""

    def __init__(self, folder: Path, rng: Random) -> None:
        """Files are written below `folder`."""
        self._folder = folder
        self._rng = rng
        self._lock = threading.Lock()
        self._recent: deque[Study] = deque(maxlen=KEEP)
        self._made = 0

    def create(self, modality: str) -> Study:
        """Make a new study that is not yet in the PACS."""
        with self._lock:
            self._made += 1
            return make_study(self._made, modality, self._rng, self._folder)

    def add(self, study: Study) -> None:
        """Note that the PACS now holds the study."""
        with self._lock:
            self._recent.append(study)

    def choose(self, rng: Random) -> Study:
        """Any recent study."""
        with self._lock:
            return rng.choice(self._recent)

    def recent(self) -> list[Study]:
        """All recent studies, oldest first."""
        with self._lock:
            return list(self._recent)
